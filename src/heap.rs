//! The heap: first fit, in one arena of a fixed size. It is a tenth of musl's, which is made for many threads, and asks the
//! kernel for nothing. Pages that were never needed cost no memory. When it is full, the [fail-safe](crate::failsafe) sleeps
//! on.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::process::abort;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in all: enough for any command line of 2 MiB, which is as much as Linux takes as a rule, be each word a byte.
pub const SIZE: usize = 16 << 20;
/// All blocks begin and end at a multiple of this. It is the strictest alignment of any type here, and a free block has
/// room for its [`Hole`].
const UNIT: usize = 16;

/// A free block, described in its own first bytes.
struct Hole {
    size: usize,
    /// The next one by address, which does not touch this one; null after the last.
    next: *mut Hole,
}

/// What a heap takes its blocks from: in a static of its own, which is all zeroes and so no part of the file.
#[repr(align(16))]
pub struct Arena(UnsafeCell<[MaybeUninit<u8>; SIZE]>);

// SAFETY: its bytes are reached by the one heap only that it was given to.
unsafe impl Sync for Arena {}

impl Arena {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is for a static")]
    pub const fn new() -> Arena {
        Arena(UnsafeCell::new([MaybeUninit::uninit(); SIZE]))
    }
}

/// A heap; with `#[global_allocator]`, that of the program.
pub struct Heap {
    arena: &'static Arena,
    /// The first hole; null also before the first allocation.
    holes: UnsafeCell<*mut Hole>,
    begun: AtomicBool,
    busy: AtomicBool,
    when_full: fn(),
}

// SAFETY: the cells are reached only while `busy` is taken.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap that calls `when_full` where it has no room. Should that return, the allocation fails, which std answers with a
    /// message on stderr that waits for its reader, and an abort.
    ///
    /// # Safety
    /// No other heap may have the arena.
    #[must_use]
    pub const unsafe fn new(arena: &'static Arena, when_full: fn()) -> Heap {
        Heap {
            arena,
            holes: UnsafeCell::new(null_mut()),
            begun: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            when_full,
        }
    }

    /// Nothing ever waits here: there is one thread, and signal handlers do not allocate. Should that change, the program
    /// aborts, which the fail-safe catches, rather than break the list.
    fn enter(&self) {
        if self.busy.swap(true, Ordering::Acquire) {
            abort();
        }
    }

    fn leave(&self) {
        self.busy.store(false, Ordering::Release);
    }
}

// SAFETY: a block is taken out of the list of holes before it is given out, and the list is of disjoint blocks in the arena.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > UNIT {
            return null_mut();
        }
        // A layout is at most `isize::MAX` bytes.
        let size = layout.size().next_multiple_of(UNIT);
        let mut block = null_mut();
        self.enter();
        // SAFETY: `busy` is ours. All holes are in the arena, aligned, and at least as large as `Hole`, since all sizes are
        // multiples of `UNIT`.
        unsafe {
            let mut link = self.holes.get();
            if !self.begun.swap(true, Ordering::Relaxed) {
                *link = self.arena.0.get().cast();
                (*link).write(Hole { size: SIZE, next: null_mut() });
            }
            while let Some(&mut Hole { size: found, next }) = (*link).as_mut() {
                if found >= size {
                    block = *link;
                    *link = next;
                    if found > size {
                        *link = block.byte_add(size);
                        (*link).write(Hole { size: found - size, next });
                    }
                    break;
                }
                link = &raw mut (**link).next;
            }
        }
        self.leave();
        if block.is_null() {
            (self.when_full)();
        }
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let size = layout.size().next_multiple_of(UNIT);
        // A pointer that may reach the whole arena, which that of a block may not.
        let hole = self.arena.0.get().cast::<Hole>().with_addr(block.addr());
        self.enter();
        // SAFETY: `busy` is ours; the block came from `alloc` with this layout, so it is ours again, aligned and large enough.
        unsafe {
            let mut before: *mut Hole = null_mut();
            let mut link = self.holes.get();
            while !(*link).is_null() && *link < hole {
                before = *link;
                link = &raw mut (*before).next;
            }
            hole.write(Hole { size, next: *link });
            *link = hole;
            join(hole);
            if !before.is_null() {
                join(before);
            }
        }
        self.leave();
    }
}

/// Makes one of a hole and the next one where they touch.
///
/// # Safety
/// `hole` must be in the list, and `busy` taken.
unsafe fn join(hole: *mut Hole) {
    // SAFETY: the list holds valid pointers only.
    unsafe {
        let Hole { size, next } = hole.read();
        if hole.byte_add(size) == next {
            let Hole { size: more, next } = next.read();
            hole.write(Hole { size: size + more, next });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    /// Blocks of all sizes, given back in another order, keep what was written to them; in the end the arena is one again.
    #[test]
    fn blocks_are_disjoint_and_come_back() {
        static ARENA: Arena = Arena::new();
        // SAFETY: the arena is this heap's.
        static HEAP: Heap = unsafe { Heap::new(&ARENA, || {}) };
        let mut random = 1_u32;
        let mut blocks: Vec<(*mut u8, usize, u8)> = Vec::new();
        for round in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (random >> 16) as usize;
            if blocks.len() < 100 && number.is_multiple_of(2) {
                let size = 1 + number % 3000;
                // SAFETY: the size is not 0.
                let block = unsafe { HEAP.alloc(layout(size)) };
                assert!(!block.is_null() && block.addr().is_multiple_of(UNIT));
                // SAFETY: it is that large.
                unsafe { block.write_bytes(round as u8, size) };
                blocks.push((block, size, round as u8));
            } else if !blocks.is_empty() {
                let (block, size, mark) = blocks.swap_remove(number % blocks.len());
                // SAFETY: it was allocated above, with that layout.
                unsafe {
                    assert!(std::slice::from_raw_parts(block, size).iter().all(|&byte| byte == mark));
                    HEAP.dealloc(block, layout(size));
                }
            }
        }
        for (block, size, _) in blocks {
            // SAFETY: as above.
            unsafe { HEAP.dealloc(block, layout(size)) };
        }
        // SAFETY: as above.
        unsafe {
            let whole = HEAP.alloc(layout(SIZE));
            assert!(!whole.is_null());
            HEAP.dealloc(whole, layout(SIZE));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        static ARENA: Arena = Arena::new();
        // SAFETY: the arena is this heap's.
        static HEAP: Heap = unsafe { Heap::new(&ARENA, || {}) };
        // SAFETY: no size is 0; each block is given back once, with its layout.
        unsafe {
            assert!(HEAP.alloc(layout(SIZE + 1)).is_null());
            assert!(HEAP.alloc(Layout::from_size_align(32, 32).unwrap()).is_null());
            let all = HEAP.alloc(layout(SIZE));
            assert!(!all.is_null());
            assert!(HEAP.alloc(layout(1)).is_null());
            HEAP.dealloc(all, layout(SIZE));
            let some = HEAP.alloc(layout(1));
            assert_eq!(some, all);
            HEAP.dealloc(some, layout(1));
        }
    }
}
