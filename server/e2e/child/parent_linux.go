package child

import "syscall"

// DiesWithParent is for what must not be left behind when this program is
// killed, and gets no signals of its terminal.
func DiesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
