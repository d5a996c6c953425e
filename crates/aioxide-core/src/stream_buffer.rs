//! What a stream has received and nobody has read yet.

use std::collections::TryReserveError;

use memchr::memmem;

/// Above this capacity an empty buffer gives its memory back: most connections are idle.
const KEEP: usize = 1024;

/// Bytes in the order they came: added at the end, taken from the front.
#[derive(Debug, Default)]
pub struct StreamBuffer {
    octets: Vec<u8>,
    /// Where the unread bytes begin.
    start: usize,
}

impl StreamBuffer {
    /// How many bytes are unread.
    #[inline]
    pub fn len(&self) -> usize {
        self.octets.len() - self.start
    }

    /// Whether nothing is unread.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.octets.len()
    }

    /// The unread bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// If there is no memory for them; nothing is added then.
    #[inline]
    pub fn extend(&mut self, data: &[u8]) -> Result<(), TryReserveError> {
        // Moving the rest to the front is cheap when most has been read, and saves growing.
        if self.start > 0
            && self.octets.len() + data.len() > self.octets.capacity()
            && self.start >= self.len()
        {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        reserve(&mut self.octets, data.len())?;
        self.octets.extend_from_slice(data);
        Ok(())
    }

    /// Takes `count` bytes (at most all of them) from the front.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start = self.octets.len().min(self.start + count);
        if self.is_empty() {
            self.clear();
        }
    }

    /// Puts bytes back to the front.
    ///
    /// # Errors
    /// If there is no memory for them; nothing is put back then.
    pub fn unread(&mut self, data: &[u8]) -> Result<(), TryReserveError> {
        if let Some(start) = self.start.checked_sub(data.len()) {
            self.octets[start..self.start].copy_from_slice(data);
            self.start = start;
        } else {
            reserve(&mut self.octets, data.len() - self.start)?;
            self.octets.splice(..self.start, data.iter().copied());
            self.start = 0;
        }
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.start = 0;
        if self.octets.capacity() > KEEP {
            self.octets = Vec::new();
        } else {
            self.octets.clear();
        }
    }
}

/// Makes room for `more` bytes: twice the memory if there is as much, so that adding bytes one by one stays
/// linear, else as little as it takes.
///
/// # Errors
/// If there is no memory.
#[inline]
pub fn reserve(octets: &mut Vec<u8>, more: usize) -> Result<(), TryReserveError> {
    if octets.try_reserve(more).is_ok() {
        return Ok(());
    }
    octets.try_reserve_exact(more)
}

/// Where a separator was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the separator begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// What `readuntil` looks for: separators, the shortest first.
#[derive(Debug)]
pub struct Separators {
    shortest_first: Vec<Vec<u8>>,
}

/// Why there are no separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSeparators {
    /// None was given.
    None,
    /// One is empty.
    Empty,
}

impl Separators {
    /// Sorts them by length; equal lengths keep their order.
    ///
    /// # Errors
    /// If there is none, or an empty one.
    pub fn new(mut separators: Vec<Vec<u8>>) -> Result<Separators, NoSeparators> {
        separators.sort_by_key(Vec::len);
        match separators.first() {
            None => Err(NoSeparators::None),
            Some(shortest) if shortest.is_empty() => Err(NoSeparators::Empty),
            Some(_) => Ok(Separators {
                shortest_first: separators,
            }),
        }
    }

    /// The length of the shortest.
    pub fn shortest(&self) -> usize {
        self.shortest_first.first().map_or(0, Vec::len)
    }

    /// The length of the longest.
    pub fn longest(&self) -> usize {
        self.shortest_first.last().map_or(0, Vec::len)
    }

    /// The match that ends first, at or after `from`; of two that end together the shorter one.
    pub fn find(&self, data: &[u8], from: usize) -> Option<Found> {
        let mut best: Option<Found> = None;
        for separator in &self.shortest_first {
            // A match that ends later than the best one is of no use.
            let until = best.map_or(data.len(), |found| found.end);
            let Some(part) = data.get(from..until) else {
                continue;
            };
            let at = match separator.as_slice() {
                [octet] => memchr::memchr(*octet, part),
                several => memmem::find(part, several),
            };
            if let Some(at) = at {
                let start = from + at;
                let end = start + separator.len();
                if best.is_none_or(|found| end < found.end) {
                    best = Some(Found { start, end });
                }
            }
        }
        best
    }
}
