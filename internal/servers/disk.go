package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// disksEnv marks a process that was started where it may mount.
const disksEnv = "DOORBUSTER_MAY_MOUNT"

// adminCapability lets a process mount (CAP_SYS_ADMIN).
const adminCapability = 21

// Disk is a disk of its own, in memory, that is soon full.
type Disk struct {
	Dir  string
	gone bool
}

// MountDisk mounts a disk of so many bytes over dir, which is made where it is
// missing. It belongs to the owner of the file like.
func MountDisk(dir string, size int, like string) (*Disk, error) {
	info, err := os.Stat(like)
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("nobody owns " + like)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("size=%d,mode=0700,uid=%d,gid=%d", size, owner.Uid, owner.Gid)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return nil, fmt.Errorf("mount a small disk: %w; run this as root, or where users may have namespaces", err)
	}
	return &Disk{Dir: dir}, nil
}

// Unmount takes the disk away, also from under who still uses it. A second
// time changes nothing.
func (d *Disk) Unmount() error {
	if d.gone {
		return nil
	}
	d.gone = true
	return syscall.Unmount(d.Dir, syscall.MNT_DETACH)
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill leaves no room on the disk; Empty takes back what Fill wrote.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Empty makes room again.
func (d *Disk) Empty() error { return os.Remove(d.ballast()) }

// MayMount reports whether this process can mount a disk, or has tried
// WhereDisksMount already.
func MayMount() bool { return os.Geteuid() == 0 || os.Getenv(disksEnv) != "" }

// WhereDisksMount runs this program again with args in a namespace where this
// user, still the same one, may mount. It returns what it printed.
func WhereDisksMount(args ...string) (string, error) {
	again := exec.Command(os.Args[0], args...)
	again.Env = append(os.Environ(), disksEnv+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{adminCapability},
	}
	out, err := again.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
