/* System calls that fail or fall short, by a seeded plan: preloaded before libc.
 *
 * Only what a kernel may do at any time to a program that uses non-blocking sockets and pipes: a call that could
 * have done more does less, or says EAGAIN or EINTR. A correct program therefore does the same with and without.
 * Nothing happens until faults_begin() is called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local uint64_t state;
static uint64_t seed;
static unsigned rate; /* faults per 1000 calls */
static uint64_t count;

void faults_begin(uint64_t new_seed, unsigned new_rate) { seed = new_seed; rate = new_rate; }
uint64_t faults_end(void) { rate = 0; return count; }

static unsigned draw(void) {
    if (!state) state = seed * 0x9E3779B97F4A7C15u + 0x1234567u;
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (unsigned)(state >> 33);
}

/* What happens to a call on this descriptor: 0 nothing, 1 it falls short, 2 EAGAIN, 3 EINTR. */
static int fault(int fd) {
    if (!rate || draw() % 1000 >= rate) return 0;
    struct stat info;
    int saved = errno;
    int flags = fcntl(fd, F_GETFL);
    int ours = flags >= 0 && (flags & O_NONBLOCK) && !fstat(fd, &info) && (S_ISSOCK(info.st_mode) || S_ISFIFO(info.st_mode));
    errno = saved;
    if (!ours) return 0;
    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    unsigned which = draw() % 4;
    return which < 2 ? 1 : (int)which;
}

static size_t some(size_t most) { return most ? 1 + draw() % most : 0; }

#define REFUSE(what) \
    if (what == 2) { errno = EAGAIN; return -1; } \
    if (what == 3) { errno = EINTR; return -1; }

ssize_t send(int fd, const void *data, size_t size, int flags) {
    static ssize_t (*real)(int, const void *, size_t, int);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    /* asyncio wakes its loop by one byte, and ignores EAGAIN there: its pipe is full then. */
    int what = size > 1 ? fault(fd) : 0;
    REFUSE(what)
    return real(fd, data, what ? some(size) : size, flags);
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
    static ssize_t (*real)(int, void *, size_t, int);
    if (!real) real = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    int what = fault(fd);
    REFUSE(what)
    return real(fd, data, what ? some(size) : size, flags);
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    int what = fault(fd);
    REFUSE(what)
    return real(fd, data, what ? some(size) : size);
}

ssize_t read(int fd, void *data, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    int what = fault(fd);
    REFUSE(what)
    return real(fd, data, what ? some(size) : size);
}

ssize_t writev(int fd, const struct iovec *pieces, int number) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    int what = fault(fd);
    REFUSE(what)
    if (!what || number < 1) return real(fd, pieces, number);
    struct iovec first = {pieces[0].iov_base, some(pieces[0].iov_len)};
    return real(fd, &first, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (!real) real = (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    int what = fault(fd);
    REFUSE(what)
    if (!what || message->msg_iovlen < 1) return real(fd, message, flags);
    struct iovec first = {message->msg_iov[0].iov_base, some(message->msg_iov[0].iov_len)};
    struct msghdr shorter = *message;
    shorter.msg_iov = &first;
    shorter.msg_iovlen = 1;
    return real(fd, &shorter, flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    static int (*real)(int, struct sockaddr *, socklen_t *, int);
    if (!real) real = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    int what = fault(fd);
    if (what == 1) { errno = ECONNABORTED; return -1; }
    REFUSE(what)
    return real(fd, address, length, flags);
}
