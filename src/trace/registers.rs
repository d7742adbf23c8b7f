//! A stopped thread's system call, by its registers.

use nix::errno::Errno;
use nix::libc;
use nix::libc::user_regs_struct;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// A system call as its thread makes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers(user_regs_struct);

impl Registers {
    /// Of a thread that is stopped.
    pub(super) fn of(thread: Pid) -> nix::Result<Self> {
        ptrace::getregs(thread).map(Self)
    }

    /// The number of the system call.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn number(&self) -> i64 {
        self.0.orig_rax.cast_signed()
    }

    /// The number of the system call.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn number(&self) -> i64 {
        self.0.regs[8].cast_signed()
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn arguments(&self) -> [u64; 4] {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10]
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) fn arguments(&self) -> [u64; 4] {
        [
            self.0.regs[0],
            self.0.regs[1],
            self.0.regs[2],
            self.0.regs[3],
        ]
    }

    /// What it returned, once it has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn result(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// What it returned, once it has.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn result(&self) -> i64 {
        self.0.regs[0].cast_signed()
    }

    /// Whether the kernel has not made the call yet: then its result says that there is none.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_entry(&self) -> Option<bool> {
        Some(self.result() == -i64::from(libc::ENOSYS))
    }

    /// There the two stops can't be told by the registers.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn is_entry(&self) -> Option<bool> {
        None
    }

    /// Keeps the kernel from making the call that the thread is about to make. False where that
    /// can't be done.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn skip(mut self, thread: Pid) -> bool {
        self.0.orig_rax = u64::MAX;
        ptrace::setregs(thread, self.0).is_ok()
    }

    /// Not possible by these registers.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn skip(self, _thread: Pid) -> bool {
        false
    }

    /// Lets the call that was skipped end with an error.
    pub(super) fn fail(mut self, thread: Pid, error: Errno) -> nix::Result<()> {
        let result = (-i64::from(error as i32)).cast_unsigned();
        #[cfg(target_arch = "x86_64")]
        {
            self.0.rax = result;
        }
        #[cfg(target_arch = "aarch64")]
        {
            self.0.regs[0] = result;
        }
        ptrace::setregs(thread, self.0)
    }
}
