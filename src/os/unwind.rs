//! Panics abort here, so nothing ever unwinds. With these definitions in place of the toolchain's unwinder, fat LTO drops
//! std's backtrace symbolizer, 300 KB of it. Should a later std name another function, the link takes the unwinder in
//! again and fails over the names that are there twice: it cannot go wrong silently.
//!
//! The names are those of the Itanium C++ ABI, section 1.

#![allow(unsafe_code)]

use std::ffi::c_int;

/// `_URC_END_OF_STACK`: a backtrace has no frames.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace() -> c_int {
    5
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_FindEnclosingFunction() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetCFA() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetDataRelBase() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIP() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIPInfo() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetLanguageSpecificData() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetRegionStart() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetTextRelBase() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_SetGR() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_SetIP() -> ! {
    std::process::abort()
}
