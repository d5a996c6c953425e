//! The messages of the echo loads: each differs from every other one, so that no answer can be an
//! old one or that of another connection.

use std::io;

/// Number of the message and of its connection.
const HEADER: usize = 16;

#[derive(Debug, Clone, clap::Args)]
pub struct Form {
    /// Bytes in a message, 16 at least.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Make each message a line: one newline, at its end.
    #[arg(long)]
    lines: bool,
}

/// The message that is next to be sent or to be compared; only its header is written anew.
pub struct Message {
    bytes: Vec<u8>,
    lines: bool,
}

impl Message {
    pub fn new(form: &Form) -> io::Result<Self> {
        if form.size < HEADER + usize::from(form.lines) {
            return Err(io::Error::other(format!(
                "a message has at least {HEADER} bytes, and a line one more"
            )));
        }
        let bytes = if form.lines {
            let mut text: Vec<u8> = (b'a'..=b'z').cycle().take(form.size - 1).collect();
            text.push(b'\n');
            text
        } else {
            (0..=250).cycle().take(form.size).collect()
        };
        Ok(Self {
            bytes,
            lines: form.lines,
        })
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the message with this number on the connection with this key.
    pub fn of(&mut self, key: u64, sequence: u64) -> &[u8] {
        if self.lines {
            let header = format!("{sequence:08x}{key:08x}");
            self.bytes[..HEADER].copy_from_slice(&header.as_bytes()[..HEADER]);
        } else {
            self.bytes[..8].copy_from_slice(&sequence.to_le_bytes());
            self.bytes[8..HEADER].copy_from_slice(&key.to_le_bytes());
        }
        &self.bytes
    }

    /// An error unless these are the bytes of that message.
    pub fn check(&mut self, key: u64, sequence: u64, received: &[u8]) -> io::Result<()> {
        if received == self.of(key, sequence) {
            return Ok(());
        }
        Err(io::Error::other("the server sent other bytes than it got"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Message};

    #[test]
    fn a_line_has_one_newline_and_differs_from_the_next() {
        let mut message = Message::new(&Form {
            size: 64,
            lines: true,
        })
        .unwrap();
        let first = message.of(3, 1).to_vec();
        assert_eq!(first.len(), 64);
        assert_eq!(first.iter().position(|byte| *byte == b'\n'), Some(63));
        assert_ne!(first, message.of(3, 2));
        assert_ne!(first, message.of(4, 1));
    }

    #[test]
    fn too_small_for_its_header() {
        assert!(
            Message::new(&Form {
                size: 16,
                lines: true
            })
            .is_err()
        );
        assert!(
            Message::new(&Form {
                size: 15,
                lines: false
            })
            .is_err()
        );
    }
}
