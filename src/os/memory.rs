//! The system's memory. If none is left, the program sleeps for the rest of the drain, where std would abort.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, but it calls this function instead of returning null.
pub struct Memory {
    pub when_out: fn() -> !,
}

// SAFETY: each call is passed on as it is, and so is what it returns.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `alloc`.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { (self.when_out)() } else { block }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`, and the block is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}
