/* Models a power loss for one process, by LD_PRELOAD. Built and used by tests/power_loss.rs.
 *
 * The process works on the folder POWER_LOSS_ROOT as ever; reads see every write. Beside it, in POWER_LOSS_SHADOW, this
 * layer keeps what a disk would hold for certain if the power went now:
 *   f/<inode>  the bytes of a file as they were at its last fsync or fdatasync (at the start: as it was found)
 *   d/<inode>  the entries of a folder as they were at its last fsync: records of "f<inode> name\0" or "d<inode> name\0"
 *   root       the inode of the folder itself; written last, so that without it nothing has been changed yet
 * Whatever is in neither is not durable: a file that was never synced is empty, a folder that was never synced has no
 * entries, a rename or removal in a folder that was not synced since has not happened. Only calls that make something
 * durable have to be seen for this; writes do not, so it does not matter how they are made.
 *
 * Calls that would make data durable in a way that is not modelled end the process with a message.
 * With POWER_LOSS_SYNC=off fsync and fdatasync do nothing at all, as in a build that has them switched off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX], shadow[PATH_MAX];
static size_t root_len;
static int active, sync_off;
/* One at a time: of two syncs of one file the later must win. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
    dprintf(2, "power loss layer: %s (%s)\n", what, strerror(errno));
    abort();
}

/* Without going through our own wrappers. */
static int raw_open(int dir, const char *path, int flags) {
    return (int)syscall(SYS_openat, dir, path, flags | O_CLOEXEC, 0600);
}

static void shadow_path(char *out, char kind, uint64_t inode, const char *suffix) {
    if (snprintf(out, PATH_MAX, "%s/%c/%llu%s", shadow, kind, (unsigned long long)inode, suffix) >= PATH_MAX)
        fail("path too long");
}

/* Inodes that are in the shadow stay open, so that their numbers are not given to other files. */
static uint64_t *pinned;
static size_t pinned_cap, pinned_len;

static int pin_slot(uint64_t inode) {
    size_t i = (inode * 0x9E3779B97F4A7C15ull) % pinned_cap;
    while (pinned[i] && pinned[i] != inode) i = (i + 1) % pinned_cap;
    if (pinned[i] == inode) return 0;
    pinned[i] = inode;
    return 1;
}

/* `dir` and `name` say where the inode is now. */
static void pin(uint64_t inode, int dir, const char *name) {
    if (2 * pinned_len >= pinned_cap) {
        uint64_t *old = pinned;
        size_t old_cap = pinned_cap;
        pinned_cap = old_cap ? 2 * old_cap : 1024;
        pinned = calloc(pinned_cap, sizeof *pinned);
        if (!pinned) fail("no memory");
        for (size_t i = 0; i < old_cap; i++)
            if (old[i]) pin_slot(old[i]);
        free(old);
    }
    if (!pin_slot(inode)) return;
    pinned_len++;
    if (raw_open(dir, name, O_PATH | (strncmp(name, "/proc/", 6) ? O_NOFOLLOW : 0)) < 0 && errno != ENOENT)
        fail("cannot keep an inode open");
}

static void write_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0) fail("cannot write the shadow");
        bytes += n;
        len -= (size_t)n;
    }
}

/* Replaces a file of the shadow as a whole: a kill in between leaves the old one. */
static int begin(char kind, uint64_t inode) {
    char path[PATH_MAX];
    shadow_path(path, kind, inode, ".new");
    int fd = raw_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0) fail("cannot create a file of the shadow");
    return fd;
}

static void finish(char kind, uint64_t inode, int fd) {
    char from[PATH_MAX], to[PATH_MAX];
    close(fd);
    shadow_path(from, kind, inode, ".new");
    shadow_path(to, kind, inode, "");
    if (rename(from, to)) fail("cannot rename a file of the shadow");
}

static void keep_file(int fd, uint64_t inode) {
    static char buffer[1 << 20];
    int out = begin('f', inode);
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(fd, buffer, sizeof buffer, at);
        if (n < 0) fail("cannot read a file");
        if (n == 0) break;
        write_all(out, buffer, (size_t)n);
        at += n;
    }
    finish('f', inode, out);
}

/* Keeps the entries of a folder; with `deep` also everything below it. Takes `fd`. */
static void keep_folder(int fd, uint64_t inode, int deep) {
    DIR *folder = fdopendir(fd);
    if (!folder) fail("cannot list a folder");
    int out = begin('d', inode);
    struct dirent *entry;
    while ((errno = 0, entry = readdir(folder))) {
        const char *name = entry->d_name;
        struct stat st;
        char head[32];
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW)) continue; /* gone meanwhile */
        int is_folder = S_ISDIR(st.st_mode);
        if (!is_folder && !S_ISREG(st.st_mode)) fail("only files and folders are modelled");
        pin(st.st_ino, fd, name);
        int n = snprintf(head, sizeof head, "%c%llu ", is_folder ? 'd' : 'f', (unsigned long long)st.st_ino);
        write_all(out, head, (size_t)n);
        write_all(out, name, strlen(name) + 1);
        if (!deep) continue;
        int below = raw_open(fd, name, O_RDONLY | O_NOFOLLOW);
        if (below < 0) fail("cannot open what is in the folder");
        if (is_folder) {
            keep_folder(below, st.st_ino, 1);
        } else {
            keep_file(below, st.st_ino);
            close(below);
        }
    }
    if (errno) fail("cannot list a folder");
    finish('d', inode, out);
    closedir(folder);
}

__attribute__((constructor)) static void start(void) {
    const char *r = getenv("POWER_LOSS_ROOT"), *s = getenv("POWER_LOSS_SHADOW"), *sync = getenv("POWER_LOSS_SYNC");
    if (!r || !s) return;
    if (!realpath(r, root)) fail("no POWER_LOSS_ROOT");
    if (!realpath(s, shadow)) fail("no POWER_LOSS_SHADOW");
    root_len = strlen(root);
    sync_off = sync && !strcmp(sync, "off");
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    char path[PATH_MAX], number[32];
    snprintf(path, sizeof path, "%.4000s/root", shadow);
    active = 1;
    /* A further process of the same boot finds the shadow as it is. */
    if (!access(path, F_OK)) return;
    snprintf(path, sizeof path, "%.4000s/f", shadow);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%.4000s/d", shadow);
    mkdir(path, 0700);
    struct stat st;
    int fd = raw_open(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || fstat(fd, &st)) fail("cannot open POWER_LOSS_ROOT");
    pin(st.st_ino, AT_FDCWD, root);
    keep_folder(fd, st.st_ino, 1);
    snprintf(path, sizeof path, "%.4000s/root.new", shadow);
    fd = raw_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC);
    int n = snprintf(number, sizeof number, "%llu", (unsigned long long)st.st_ino);
    write_all(fd, number, (size_t)n);
    close(fd);
    char to[PATH_MAX];
    snprintf(to, sizeof to, "%.4000s/root", shadow);
    if (rename(path, to)) fail("cannot finish the shadow");
}

/* Whether a descriptor is of something in the folder. */
static int inside(int fd) {
    char link[64], path[PATH_MAX];
    if (!active) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < (ssize_t)root_len) return 0;
    path[n] = 0;
    return !strncmp(path, root, root_len) && (path[root_len] == '/' || path[root_len] == 0);
}

/* What is written at the call is durable at the return. The real call would add nothing but time. */
static int keep(int fd) {
    char link[64];
    struct stat st;
    if (sync_off) return 0;
    if (fstat(fd, &st)) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    pthread_mutex_lock(&lock);
    pin(st.st_ino, AT_FDCWD, link);
    /* Opened anew: the descriptor may be for writing only, and its position is the process's own. */
    int again = raw_open(AT_FDCWD, link, O_RDONLY);
    if (again < 0) fail("cannot open a file that is synced");
    if (S_ISDIR(st.st_mode)) {
        keep_folder(again, st.st_ino, 0);
    } else {
        keep_file(again, st.st_ino);
        close(again);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return inside(fd) ? keep(fd) : REAL(fsync)(fd); }
int fdatasync(int fd) { return inside(fd) ? keep(fd) : REAL(fdatasync)(fd); }

/* Everything below: durable in a way that is not modelled. */

static void not_modelled(int fd, const char *what) {
    if (inside(fd)) {
        errno = ENOSYS;
        fail(what);
    }
}

int syncfs(int fd) {
    not_modelled(fd, "syncfs is not modelled");
    return REAL(syncfs)(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
    not_modelled(fd, "sync_file_range is not modelled");
    return REAL(sync_file_range)(fd, offset, bytes, flags);
}

int msync(void *at, size_t len, int flags) {
    if (active && (flags & MS_SYNC)) fail("msync is not modelled");
    return REAL(msync)(at, len, flags);
}

void sync(void) {
    if (active) fail("sync is not modelled");
    REAL(sync)();
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    if (flags & (RWF_SYNC | RWF_DSYNC)) not_modelled(fd, "pwritev2 with RWF_DSYNC is not modelled");
    return REAL(pwritev2)(fd, parts, count, offset, flags);
}

static int opened(int fd, int flags) {
    if (fd >= 0 && (flags & (O_DSYNC | O_SYNC) & ~O_TMPFILE)) not_modelled(fd, "O_DSYNC is not modelled");
    return fd;
}

#define MODE(last)                                       \
    mode_t mode = 0;                                     \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list list;                                    \
        va_start(list, last);                            \
        mode = va_arg(list, mode_t);                     \
        va_end(list);                                    \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(open)(path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(open64)(path, flags, mode), flags);
}

int openat(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(openat)(dir, path, flags, mode), flags);
}

int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return opened(REAL(openat64)(dir, path, flags, mode), flags);
}
