//! `Resolver`: a loop's threads for lookups, for `python/aioxide/names.py`.

use std::cell::RefCell;

use aioxide_driver::resolver::{Found, LookupError, Pool, name_of};

use super::question::{self, Arguments};
use super::{answer, stock};
use crate::ffi::method::TypeBuilder;
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Visit, value};

/// What a thread has found out.
#[derive(Debug)]
enum Answer {
    Addresses(Result<Vec<Found>, LookupError>),
    Name(Result<(Vec<u8>, Vec<u8>), LookupError>),
}

impl Answer {
    /// Python's value for it, or the exception.
    fn to_python(&self) -> Res<Result<Object, Object>> {
        Ok(match self {
            Answer::Addresses(Ok(found)) => Ok(answer::addresses(found)?),
            Answer::Name(Ok((host, service))) => Ok(answer::name(host, service)?),
            Answer::Addresses(Err(error)) | Answer::Name(Err(error)) => {
                Err(answer::failure(error)?)
            }
        })
    }
}

/// The state behind `Resolver`.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// Empty before `__init__`. Borrowed for single operations, during which no Python runs.
    pool: RefCell<Option<Pool<Answer>>>,
}

static RESOLVER: Class<Resolver> = Class::new(0);

impl Native for Resolver {
    const NAME: &'static std::ffi::CStr = c"aioxide.Resolver";
    const SUBCLASSABLE: bool = false;

    fn class() -> &'static Class<Self> {
        &RESOLVER
    }
    fn empty() -> Self {
        Resolver::default()
    }
    fn traverse(&self, _visit: &mut Visit) {}
    fn clear(&self) {}
}

impl Resolver {
    /// Hands a job to a thread.
    fn submit(&self, number: &Any, job: impl FnOnce() -> Answer + Send + 'static) -> Res<()> {
        let number = number_of(number)?;
        let submitted = match &*self.pool.borrow() {
            Some(pool) => pool.submit(number, job),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        submitted.map_err(|error| Raised::runtime(&format!("can't start new thread: {error}")))
    }
}

fn number_of(number: &Any) -> Res<u64> {
    Ok(number.to_i64()?.cast_unsigned())
}

fn init(this: &Inst<Resolver>, args: Args<'_>) -> Res<()> {
    if !args.positional.is_empty() || !args.names.is_empty() {
        return Err(Raised::type_error("Resolver() takes no arguments"));
    }
    let pool = Pool::new().map_err(|error| Raised::os(&error))?;
    drop(this.pool.replace(Some(pool)));
    Ok(())
}

/// Whether the question was plain, and is being looked into.
fn look_up_addresses(this: &Inst<Resolver>, args: Args<'_>) -> Res<Object> {
    let &[number, host, port, family, kind, protocol, flags] = args.positional else {
        return Err(Raised::type_error("look_up_addresses() takes 7 arguments"));
    };
    let given = [host, port, family, kind, protocol, flags].map(Some);
    let Some(arguments) = Arguments::read(given) else {
        return Ok(value::bool(false));
    };
    if !stock::getaddrinfo_is_stock()? {
        return Ok(value::bool(false));
    }
    let Some(query) = arguments.query()? else {
        return Ok(value::bool(false));
    };
    question::audit(&arguments)?;
    this.submit(number, move || Answer::Addresses(query.look_up()))?;
    Ok(value::bool(true))
}

/// As `look_up_addresses`, for `getnameinfo`.
fn look_up_name(this: &Inst<Resolver>, args: Args<'_>) -> Res<Object> {
    let &[number, sockaddr, flags] = args.positional else {
        return Err(Raised::type_error("look_up_name() takes 3 arguments"));
    };
    let (Some(address), Some(flags)) = (
        question::socket_address(sockaddr),
        question::flags(Some(flags)),
    ) else {
        return Ok(value::bool(false));
    };
    if stock::getnameinfo_if_stock()?.is_none() {
        return Ok(value::bool(false));
    }
    question::audit_name(sockaddr)?;
    this.submit(number, move || Answer::Name(name_of(&address, flags)))?;
    Ok(value::bool(true))
}

/// `[(number, result or None, exception or None), ...]`.
fn take(this: &Inst<Resolver>) -> Res<Object> {
    let answers = match &*this.pool.borrow() {
        Some(pool) => pool.take(),
        None => Vec::new(),
    };
    let mut list = Vec::with_capacity(answers.len());
    for (number, answer) in answers {
        let number = value::int(number.cast_signed())?;
        let answer = answer
            .to_python()
            // A name that cannot be decoded is this question's error, and no other's.
            .unwrap_or_else(|raised| Err(raised.take()));
        let none = value::none();
        list.push(match &answer {
            Ok(result) => value::tuple(&[&number, result, &none])?,
            Err(exception) => value::tuple(&[&number, &none, exception])?,
        });
    }
    value::list(&list)
}

fn forget(this: &Inst<Resolver>, number: &Any) -> Res<Object> {
    let number = number_of(number)?;
    Ok(value::bool(match &*this.pool.borrow() {
        Some(pool) => pool.forget(number),
        None => false,
    }))
}

fn fileno(this: &Inst<Resolver>) -> Res<Object> {
    let fd = this.pool.borrow().as_ref().map_or(-1, Pool::fd);
    value::int(fd.into())
}

fn threads(this: &Inst<Resolver>) -> Res<Object> {
    let threads = this.pool.borrow().as_ref().map_or(0, Pool::threads);
    value::int(i64::try_from(threads).unwrap_or(i64::MAX))
}

fn close(this: &Inst<Resolver>) -> Res<Object> {
    if let Some(pool) = &*this.pool.borrow() {
        pool.close();
    }
    Ok(value::none())
}

pub(super) fn build() -> Res<()> {
    RESOLVER.build(object_class(), |b: TypeBuilder<Resolver>| {
        b.doc(c"Resolver()\n--\n\nA loop's own threads for looking up names.")
            .init(init)
            .method(c"look_up_addresses", look_up_addresses, c"look_up_addresses($self, number, host, port, family, kind, proto, flags, /)\n--\n\nBegin a getaddrinfo, or say False: the question is not plain.")
            .method(c"look_up_name", look_up_name, c"look_up_name($self, number, sockaddr, flags, /)\n--\n\nBegin a getnameinfo, or say False: the question is not plain.")
            .method0(c"take", take, c"take($self, /)\n--\n\nThe answers so far: triples of number, result and exception.")
            .method1(c"forget", forget, c"forget($self, number, /)\n--\n\nWant no answer any more; True if it had not begun.")
            .method0(c"fileno", fileno, c"fileno($self, /)\n--\n\nThe descriptor that is readable while answers wait; -1 when closed.")
            .method0(c"close", close, c"close($self, /)\n--\n\nLet the threads go. Waits for nothing.")
            .getter(c"threads", threads, c"How many threads there are.")
    })?;
    Ok(())
}
