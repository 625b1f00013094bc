//! Memory is the system's. Where there is none left, the drain is slept to its end rather than cut short by an abort.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

use crate::failsafe;

/// The system's allocator, which never returns null.
pub struct Memory;

// SAFETY: each call is passed on as it is, and so is what it returns.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's word.
        or_sleep(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's word.
        or_sleep(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's word.
        or_sleep(unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's word.
        unsafe { System.dealloc(block, layout) }
    }
}

fn or_sleep(block: *mut u8) -> *mut u8 {
    if block.is_null() { failsafe::out_of_memory() } else { block }
}
