//! How each load is driven: warm up, say `ready`, then run once for each line of standard input.

use std::io::{self, BufRead};
use std::time::Duration;

use crate::histogram::Histogram;
use crate::usage;

/// How long one answer may take, and the last ones when the time is over.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, clap::Args)]
pub struct Timing {
    /// How long to run for each line on standard input.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How long to run before that.
    #[arg(long, default_value_t = 0.2)]
    warmup: f64,
}

/// A load that runs for a while, and then has nothing in flight.
pub trait Load {
    /// Run for about this long; how long it took until the last answer was there.
    fn run(&mut self, duration: Duration) -> io::Result<Duration>;

    /// Where the durations of the answers are counted.
    fn latencies(&mut self) -> &mut Histogram;

    /// Forget what was counted beside them.
    fn forget(&mut self) {}

    /// How long all runs have used the CPU for nothing but waiting.
    fn idle(&self) -> Duration {
        Duration::ZERO
    }

    /// Further members of the answer, each behind a comma.
    fn details(&self) -> String {
        String::new()
    }
}

/// Drive the load until standard input ends. Its connections stay until then: the server is measured
/// between the lines. Each answer has the sums of all runs so far, this process's CPU time included,
/// but for what it used for waiting; and `run_p99_ns` of the last run alone.
pub fn drive(load: &mut impl Load, timing: &Timing) -> io::Result<()> {
    load.run(Duration::from_secs_f64(timing.warmup))?;
    load.forget();
    let mut all = Histogram::new();
    println!("ready");
    let (mut elapsed, mut used) = (Duration::ZERO, 0);
    while io::stdin().lock().read_line(&mut String::new())? > 0 {
        *load.latencies() = Histogram::new();
        let before = usage::micros();
        elapsed += load.run(Duration::from_secs_f64(timing.seconds))?;
        used += usage::micros() - before;
        all.add(load.latencies());
        let run_p99 = load.latencies().quantile(990);
        let details = load.details();
        let idle = i64::try_from(load.idle().as_micros()).unwrap_or(i64::MAX);
        let busy = (used - idle).max(0);
        println!(
            r#"{{"seconds": {:.6}, "load_cpu_us": {busy}, {}, "run_p99_ns": {run_p99}{details}}}"#,
            elapsed.as_secs_f64(),
            all.members()
        );
    }
    Ok(())
}
