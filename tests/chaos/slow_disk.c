/* A disk that takes its time, for one process, by LD_PRELOAD: fsync and fdatasync last as many milliseconds longer as the
 * file named by SLOW_DISK says. Built and used by tests/chaos.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void take_time(void) {
    const char *path = getenv("SLOW_DISK");
    char text[16] = {0};
    if (!path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    long ms = read(fd, text, sizeof text - 1) > 0 ? atol(text) : 0;
    close(fd);
    if (ms <= 0) return;
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&wait, 0);
}

int fsync(int fd) {
    take_time();
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    take_time();
    return REAL(fdatasync)(fd);
}
