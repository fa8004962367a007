//! Memory that is not needed while PID 1 sleeps.

unsafe extern "C" {
    // Set by the linker: the first byte of the file's mapping, and the first one after its code.
    static __executable_start: u8;
    static etext: u8;
}

/// What every x86-64 and most arm64 kernels use. With larger pages madvise refuses, and all stays.
const PAGE: usize = 4096;

/// Gives back what only the work of the moment needed, for the long sleep that follows: most of the
/// file is code that parses flags, YAML and mounts, and most of the heap was theirs. What is needed
/// again comes back from the page cache by itself.
pub fn release_memory() {
    // glibc keeps what is freed, and holes in between; musl gives it back by itself.
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers.
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: the range is this program's own code, mapped read-only from its file, so no page of it
    // can differ from what the kernel maps again; MADV_DONTNEED changes no content of such a mapping.
    unsafe {
        let start = (&raw const __executable_start) as usize;
        let end = (&raw const etext) as usize;
        // Whole pages within the code: what shares a page with data stays.
        let (first, last) = (start.next_multiple_of(PAGE), end & !(PAGE - 1));
        if let Some(length) = last.checked_sub(first) {
            libc::madvise(first as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}
