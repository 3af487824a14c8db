/* wire MICROSECONDS CLIENTS NODES: a wire between two named network namespaces, a tun device ("wire") in
 * each, that delays every packet by that much each way: the round trip is twice that.
 * Real TCP runs over it, so handshakes, delayed ACKs and Nagle cost what they cost on a WAN.
 * On SIGTERM it says how many packets it carried, dropped, and how late the latest was.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 32768 /* a power of two */
static struct packet {
    int64_t due;
    int to, length;
    char data[1600];
} queue[SLOTS];
static uint64_t head, tail, dropped;
static int64_t delay, late;
static volatile sig_atomic_t ended;

static void end(int sig)
{
    (void)sig;
    ended = 1;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_tun(const char *netns)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "wire"};
    char path[300];

    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET))
        err(1, "%s", path);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
        err(1, "tun in %s", netns);
    return fd;
}

static void deliver(void)
{
    int64_t t = now();

    for (; tail != head && queue[tail % SLOTS].due <= t; tail++) {
        const struct packet *packet = &queue[tail % SLOTS];
        if (t - packet->due > late)
            late = t - packet->due;
        if (write(packet->to, packet->data, packet->length) < 0)
            dropped++;
    }
}

static void await(struct pollfd *ends)
{
    struct timespec wait = {0, 0}, *timeout = NULL;

    if (tail != head) {
        int64_t left = queue[tail % SLOTS].due - now();
        if (left > 0)
            wait = (struct timespec){left / 1000000000, left % 1000000000};
        timeout = &wait;
    }
    if (ppoll(ends, 2, timeout, NULL) < 0)
        ends[0].revents = ends[1].revents = 0;
}

static void take(int from, int to)
{
    for (;;) {
        struct packet *packet = &queue[head % SLOTS];
        packet->length = read(from, packet->data, sizeof packet->data);
        if (packet->length <= 0)
            return;
        packet->due = now() + delay;
        packet->to = to;
        if (head - tail >= SLOTS - 1)
            dropped++;
        else
            head++;
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = end};

    if (argc != 4)
        errx(2, "usage: wire MICROSECONDS CLIENTS NODES");
    delay = atoll(argv[1]) * 1000;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}))
        warn("no real-time priority: packets may be late under load");
    sigaction(SIGTERM, &action, NULL);
    struct pollfd ends[2] = {{.fd = open_tun(argv[2]), .events = POLLIN}, {.fd = open_tun(argv[3]), .events = POLLIN}};
    if (write(1, "ready\n", 6) != 6) /* also how it notices a parent that died before the prctl() */
        err(1, "stdout");
    while (!ended) {
        deliver();
        await(ends);
        if (ends[0].revents & POLLIN)
            take(ends[0].fd, ends[1].fd);
        if (ends[1].revents & POLLIN)
            take(ends[1].fd, ends[0].fd);
    }
    fprintf(stderr, "{\"packets\": %llu, \"dropped\": %llu, \"latest_ms\": %.3f}\n", (unsigned long long)tail,
            (unsigned long long)dropped, late / 1e6);
}
