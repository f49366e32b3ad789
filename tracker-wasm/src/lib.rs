//! The browser core: takes what the loader saw, measures engagement, and delivers it as wire batches.
//!
//! [`queue`], [`engagement`] and [`measures`] are plain Rust and tested natively; [`browser`] is the thin layer that JavaScript
//! calls. Nothing here may panic: a trap would end the tracking of a page, and the bytes of a panic are paid for by
//! every visitor. README.md beside this crate says how loader and core share the work.

pub mod browser;
pub mod engagement;
pub mod measures;
pub mod queue;

// The default allocator is 2 KB of the download; this one is enough for a queue of some kilobytes on one thread.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
#[allow(unsafe_code, reason = "sound because wasm32-unknown-unknown without threads has a single thread")]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };
