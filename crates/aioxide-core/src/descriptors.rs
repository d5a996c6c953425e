//! A table by file descriptor: small numbers, dense, and few that are far out.
//!
//! The kernel gives the lowest free number, so an array would do, but a program may put a
//! descriptor anywhere (`dup2`). Hence pages: one is made when a number of it is first used, and
//! a look-up is two indexings. What is beyond all reason is in a map. A place that was never used
//! holds the default.
//!
//! A negative number has no place.

use std::collections::BTreeMap;
use std::fmt;

/// Places on a page.
const PAGE: usize = 64;
/// Pages at most: the kernel's own default limit of open files, 2^20.
const PAGES: usize = (1 << 20) / PAGE;

/// Which page, and which place of it.
#[inline]
fn place(fd: i32) -> Option<(usize, usize)> {
    let fd = usize::try_from(fd).ok()?;
    Some((fd / PAGE, fd % PAGE))
}

/// What is known of each descriptor.
pub struct Descriptors<T> {
    pages: Vec<Option<Box<[T]>>>,
    far: BTreeMap<i32, T>,
}

impl<T: Default> Descriptors<T> {
    /// An empty table, without memory.
    pub const fn new() -> Descriptors<T> {
        Descriptors {
            pages: Vec::new(),
            far: BTreeMap::new(),
        }
    }

    /// What is in the place of `fd`, if its page was ever used.
    #[inline]
    pub fn get(&self, fd: i32) -> Option<&T> {
        let (page, place) = place(fd)?;
        if page < PAGES {
            self.pages.get(page)?.as_deref()?.get(place)
        } else {
            self.far.get(&fd)
        }
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, fd: i32) -> Option<&mut T> {
        let (page, place) = place(fd)?;
        if page < PAGES {
            self.pages.get_mut(page)?.as_deref_mut()?.get_mut(place)
        } else {
            self.far.get_mut(&fd)
        }
    }

    /// The place of `fd`, made if need be; `None` for a negative number.
    #[inline]
    pub fn place(&mut self, fd: i32) -> Option<&mut T> {
        let (page, place) = place(fd)?;
        if page >= PAGES {
            return Some(self.far.entry(fd).or_default());
        }
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page =
            self.pages[page].get_or_insert_with(|| (0..PAGE).map(|_| T::default()).collect());
        page.get_mut(place)
    }

    /// What is in every place there is, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let near = self.pages.iter_mut().flatten().flatten();
        near.chain(self.far.values_mut())
    }

    /// Every place there is, in ascending order, the unused ones of used pages too.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        let near = self.pages.iter().enumerate().flat_map(|(number, page)| {
            let places = page.as_deref().unwrap_or_default();
            places.iter().enumerate().map(move |(place, value)| {
                // A page was made for an i32.
                let fd = i32::try_from(number * PAGE + place).unwrap_or(i32::MAX);
                (fd, value)
            })
        });
        near.chain(self.far.iter().map(|(&fd, value)| (fd, value)))
    }
}

impl<T: Default> Default for Descriptors<T> {
    fn default() -> Self {
        Descriptors::new()
    }
}

impl<T> fmt::Debug for Descriptors<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptors")
            .field("pages", &self.pages.iter().flatten().count())
            .finish_non_exhaustive()
    }
}
