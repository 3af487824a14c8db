/* fleetd STATE PORT: a fleet of SSH nodes, one for every line "ADDRESS FLAGS" of STATE/nodes.
 *
 * The root of node A is an overlay of STATE/hosts/A/upper over STATE/common over this machine's own
 * root. Its /proc is plain files (so /proc/sys and /proc/modules are its own) and links into a real one
 * at /.proc. What a connection costs more than with a plain sshd is one chroot and one host name.
 *
 * Two processes. The keeper waits for its end or its parent's, then ends the other and removes STATE.
 * The other is process 1 of a PID namespace and a mount namespace, so no process and no mount of a
 * node can outlive it. PORT 0 takes a free one; "ready PORT" on stdout says which.
 *
 * FLAGS: d  the node runs its own listening sshd (MaxStartups has no meaning for `sshd -i`)
 *        r  its /proc/sys is mounted read-only
 *        -  neither
 * A node that has the file /run/silent takes connections and says nothing until the client goes away.
 * STATE/connections is an array of uint64: the accepted connections of each node, in order, but for
 * those of the flag d.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_NODES 5120

static struct node {
    char address[INET_ADDRSTRLEN], flags[8];
    int listener;
} nodes[MAX_NODES];
static unsigned count;
static const char *state;
static struct rlimit files; /* what a node's processes get; fleetd itself needs more */

static char *path(const char *format, const char *name)
{
    char *result;
    if (asprintf(&result, format, state, name) < 0)
        err(1, "memory");
    return result;
}

static void read_nodes(void)
{
    FILE *list = fopen(path("%s/nodes%s", ""), "re");
    if (!list)
        err(1, "%s/nodes", state);
    while (count < MAX_NODES && fscanf(list, "%15s %7s", nodes[count].address, nodes[count].flags) == 2)
        count++;
    if (!feof(list))
        errx(1, "more than %d nodes, or a bad line", MAX_NODES);
    fclose(list);
}

/* ---- mounts ---- */

static void bind_mount(const char *from, const char *to)
{
    if (mount(from, to, NULL, MS_BIND, NULL))
        err(1, "bind %s on %s", from, to);
}

static void mount_node(const struct node *node)
{
    char *root = path("%s/hosts/%s/root", node->address), *options, *sys;

    if (asprintf(&options, "lowerdir=%s/common:/,upperdir=%s/hosts/%s/upper,workdir=%s/hosts/%s/work", state, state,
                 node->address, state, node->address) < 0)
        err(1, "memory");
    if (mount("overlay", root, "overlay", 0, options))
        err(1, "this machine cannot mount an overlay over its own root (%s)", options);
    bind_mount(path("%s/proc%s", ""), path("%s/hosts/%s/root/.proc", node->address));
    bind_mount("/dev", path("%s/hosts/%s/root/dev", node->address));
    bind_mount("/dev/pts", path("%s/hosts/%s/root/dev/pts", node->address));
    if (strchr(node->flags, 'r')) {
        sys = path("%s/hosts/%s/root/proc/sys", node->address);
        bind_mount(sys, sys);
        if (mount(NULL, sys, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
            err(1, "read-only %s", sys);
    }
}

static void mount_all(void)
{
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        err(1, "mount namespace");
    if (mount("proc", path("%s/proc%s", ""), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
        err(1, "proc");
    for (unsigned i = 0; i < count; i++)
        mount_node(&nodes[i]);
}

/* ---- one node's sshd ---- */

static void enter(const struct node *node)
{
    char name[65] = "";
    char *root = path("%s/hosts/%s/root", node->address);

    if (chroot(root) || chdir("/"))
        err(1, "chroot %s", root);
    FILE *file = fopen("/etc/hostname", "re");
    if (!file || fscanf(file, "%64s", name) != 1 || unshare(CLONE_NEWUTS) || sethostname(name, strlen(name)))
        err(1, "host name of %s", node->address);
    setrlimit(RLIMIT_NOFILE, &files);
}

static void serve_connection(const struct node *node, int client)
{
    enter(node);
    if (!access("/run/silent", F_OK)) {
        char ignored[4096];
        while (read(client, ignored, sizeof ignored) > 0)
            ;
        _exit(0);
    }
    dup2(client, 0);
    dup2(client, 1);
    execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-i", "-e", (char *)NULL);
    err(1, "sshd");
}

static void start_daemon(const struct node *node, int port)
{
    char *listen_to;

    if (fork())
        return;
    enter(node);
    if (asprintf(&listen_to, "ListenAddress=%s:%d", node->address, port) < 0)
        err(1, "memory");
    execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-e", "-o", listen_to, (char *)NULL);
    err(1, "sshd");
}

/* ---- the listeners ---- */

static int listen_at(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof to;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    inet_pton(AF_INET, address, &to.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&to, sizeof to) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&to, &length))
        err(1, "%s port %d", address, port);
    return listener;
}

static int port_of(int listener)
{
    struct sockaddr_in at;
    socklen_t length = sizeof at;
    if (getsockname(listener, (struct sockaddr *)&at, &length))
        err(1, "getsockname");
    return ntohs(at.sin_port);
}

static int listen_all(int port)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);

    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        nodes[i].listener = listen_at(nodes[i].address, port);
        port = port_of(nodes[i].listener); /* the first one chooses, when nobody did */
        if (strchr(nodes[i].flags, 'd')) {
            close(nodes[i].listener); /* it was free */
            start_daemon(&nodes[i], port);
        } else if (epoll_ctl(poller, EPOLL_CTL_ADD, nodes[i].listener, &event)) {
            err(1, "epoll");
        }
    }
    if (dprintf(1, "ready %d\n", port) < 0) /* also how it notices a parent that died before the prctl() */
        err(1, "stdout");
    return poller;
}

static void accept_all(int poller, volatile uint64_t *connections)
{
    struct epoll_event events[64];

    for (;;) {
        int ready = epoll_wait(poller, events, 64, -1); /* -1 with EINTR after a SIGCHLD: no events */
        for (int i = 0; i < ready; i++) {
            unsigned which = events[i].data.u32;
            int client = accept4(nodes[which].listener, NULL, NULL, SOCK_CLOEXEC);
            if (client < 0)
                continue; /* the client went away, or no descriptor is free: it stays in the queue */
            ++connections[which];
            if (!fork())
                serve_connection(&nodes[which], client);
            close(client);
        }
    }
}

static volatile uint64_t *counters(void)
{
    int fd = open(path("%s/connections%s", ""), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    void *map;

    if (fd < 0 || ftruncate(fd, sizeof nodes / sizeof *nodes * sizeof(uint64_t)))
        err(1, "%s/connections", state);
    map = mmap(NULL, MAX_NODES * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        err(1, "mmap");
    return map;
}

static void reap(int sig)
{
    int saved = errno;
    (void)sig;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void serve(int port)
{
    struct sigaction action = {.sa_handler = reap};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_nodes();
    mount_all();
    getrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max});
    sigaction(SIGCHLD, &action, NULL);
    accept_all(listen_all(port), counters());
}

/* ---- the keeper ---- */

static int remove_entry(const char *name, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat, (void)type, (void)where;
    remove(name);
    return 0;
}

int main(int argc, char **argv)
{
    sigset_t wait_for, before;
    int status = 0, sig = 0;
    pid_t server;

    if (argc != 3)
        errx(2, "usage: fleetd STATE PORT");
    state = argv[1];
    sigemptyset(&wait_for);
    sigaddset(&wait_for, SIGTERM);
    sigaddset(&wait_for, SIGINT);
    sigaddset(&wait_for, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wait_for, &before);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (unshare(CLONE_NEWPID) || (server = fork()) < 0)
        err(1, "PID namespace");
    if (!server) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        serve(atoi(argv[2]));
    }
    close(1); /* so that the server's end is the end of the stream */
    sigwait(&wait_for, &sig);
    kill(server, SIGKILL);
    waitpid(server, &status, 0); /* returns when all of its namespace has ended */
    nftw(state, remove_entry, 64, FTW_DEPTH | FTW_PHYS);
    return sig == SIGCHLD;
}
