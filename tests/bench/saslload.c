/* Closed-loop load on a saslauthd socket: one UNIX connection a request, as libsasl makes them.

   saslload SOCKET CLIENTS REQUESTS FRAMES [LATENCIES]

   FRAMES holds the requests as they go over the wire, each behind its length (uint32_t, host order); request i is frame i modulo
   their number. A request is sent once and never again, whatever becomes of it. A client that meets a full backlog waits for its
   place, as the blocking connect of libsasl does: nothing of its request has been sent by then.

   Prints one JSON object: how many requests ended in which way, and the seconds from connect to whole answer. LATENCIES gets each
   request's nanoseconds (uint64_t, host order) in the order of the requests. Exit status: 0 measured, 1 could not, 64 usage. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 65536, MAX_ANSWER = 2 + 1023 /* libsasl's buffer */, EVENTS = 256, SILENCE_MS = 30000 };

enum outcome { OK, NO, OTHER, CLOSED, UNSENT, UNANSWERED, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"ok", "no", "other", "closed", "unsent", "unanswered"};

struct client {
	int fd;
	size_t request;
	uint64_t started;
	size_t got;
	struct client *behind; /* while it waits for a place in the backlog */
	char answer[MAX_ANSWER];
};

struct frame {
	const char *start;
	uint32_t length;
};

static struct sockaddr_un server = {.sun_family = AF_UNIX};
static int poller;
static struct frame *frames;
static size_t frame_count, wanted, started, ended, backlog_waits;
static size_t outcomes[OUTCOMES];
static uint64_t *latencies;
static struct client *first_waiting, **last_waiting = &first_waiting;

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);
	if (!memory)
		err(1, "memory");
	return memory;
}

static void end(struct client *client, enum outcome outcome)
{
	latencies[client->request] = now() - client->started;
	outcomes[outcome]++;
	ended++;
	close(client->fd);
	client->fd = -1;
}

/* false: the backlog is full. */
static bool send_request(struct client *client)
{
	const struct frame *frame = &frames[client->request % frame_count];
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

	if (connect(client->fd, (struct sockaddr *)&server, sizeof server) < 0) {
		if (errno == EAGAIN)
			return false;
		end(client, UNSENT);
	} else if (send(client->fd, frame->start, frame->length, MSG_NOSIGNAL) != (ssize_t)frame->length) {
		end(client, UNSENT);
	} else if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) < 0) {
		err(1, "epoll_ctl");
	}
	return true;
}

/* The next request of a client that has none in flight; more than one only where a request could not be sent. */
static void start(struct client *client)
{
	while (started < wanted && client->fd < 0) {
		client->request = started++;
		client->got = 0;
		client->started = now();
		client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (client->fd < 0)
			err(1, "socket");
		if (!send_request(client)) {
			client->behind = NULL;
			*last_waiting = client;
			last_waiting = &client->behind;
			backlog_waits++;
		}
	}
}

static void admit_waiting(void)
{
	while (first_waiting && send_request(first_waiting)) {
		struct client *client = first_waiting;
		first_waiting = client->behind;
		if (!first_waiting)
			last_waiting = &first_waiting;
		start(client);
	}
}

/* Only a whole answer counts: two bytes of length and that many more, of which libsasl judges the first two. */
static void receive(struct client *client)
{
	ssize_t size = read(client->fd, client->answer + client->got, sizeof client->answer - client->got);
	uint16_t length;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		end(client, client->got == sizeof client->answer ? OTHER : CLOSED);
	} else {
		client->got += (size_t)size;
		if (client->got < sizeof length)
			return;
		memcpy(&length, client->answer, sizeof length);
		length = ntohs(length);
		if (client->got < sizeof length + length)
			return;
		const char *text = client->answer + sizeof length;
		end(client, length >= 2 && !memcmp(text, "OK", 2) ? OK : length >= 2 && !memcmp(text, "NO", 2) ? NO : OTHER);
	}
	start(client);
}

/* Seconds from the first connect to the last answer. */
static double run(struct client *clients, size_t count)
{
	struct epoll_event events[EVENTS];
	uint64_t begun = now(), heard = begun;

	for (size_t i = 0; i < count; i++)
		start(&clients[i]);
	while (ended < wanted && now() - heard < SILENCE_MS * UINT64_C(1000000)) {
		int ready = epoll_wait(poller, events, EVENTS, first_waiting ? 1 : 1000);
		if (ready < 0 && errno != EINTR)
			err(1, "epoll_wait");
		if (ready > 0)
			heard = now();
		for (int i = 0; i < ready; i++)
			receive(events[i].data.ptr);
		admit_waiting();
	}
	for (size_t i = 0; i < count; i++)
		if (clients[i].fd >= 0)
			end(&clients[i], UNANSWERED);
	return (double)(now() - begun) * 1e-9;
}

static void map_frames(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		err(1, "%s", path);
	size_t size = (size_t)status.st_size;
	char *file = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
	if (file == MAP_FAILED)
		errx(1, "%s: empty, or cannot be mapped", path);
	close(fd);
	frames = allocate(size / sizeof(uint32_t) + 1, sizeof *frames);
	for (size_t at = 0; at < size; at += frames[frame_count++].length) {
		struct frame *frame = &frames[frame_count];
		if (size - at < sizeof frame->length)
			errx(1, "%s: cut short", path);
		memcpy(&frame->length, file + at, sizeof frame->length);
		at += sizeof frame->length;
		if (size - at < frame->length)
			errx(1, "%s: cut short", path);
		frame->start = file + at;
	}
}

static void save_latencies(const char *path)
{
	FILE *file = fopen(path, "we");
	if (!file || fwrite(latencies, sizeof *latencies, started, file) != started || fclose(file))
		err(1, "%s", path);
}

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

static void report(double seconds)
{
	qsort(latencies, ended, sizeof *latencies, ascending);
	printf("{\"requests\": %zu", ended);
	for (int i = 0; i < OUTCOMES; i++)
		printf(", \"%s\": %zu", outcome_names[i], outcomes[i]);
	printf(", \"backlog_waits\": %zu, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f, \"longest\": %.9f}\n", backlog_waits, seconds,
	       (double)latencies[ended / 2] * 1e-9, (double)latencies[ended * 99 / 100] * 1e-9, (double)latencies[ended - 1] * 1e-9);
}

static size_t number(const char *text, size_t most)
{
	char *rest;
	errno = 0;
	unsigned long long value = strtoull(text, &rest, 10);
	if (errno || *rest || rest == text || value < 1 || value > most)
		errx(64, "%s: not a number from 1 to %zu", text, most);
	return (size_t)value;
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc > 6 || strlen(argv[1]) >= sizeof server.sun_path)
		errx(64, "usage: saslload SOCKET CLIENTS REQUESTS FRAMES [LATENCIES]");
	strcpy(server.sun_path, argv[1]);
	size_t count = number(argv[2], MAX_CLIENTS);
	wanted = number(argv[3], 100000000);
	map_frames(argv[4]);
	latencies = allocate(wanted, sizeof *latencies);
	struct client *clients = allocate(count, sizeof *clients);
	for (size_t i = 0; i < count; i++)
		clients[i].fd = -1;
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		err(1, "epoll_create1");
	double seconds = run(clients, count);
	if (argc == 6)
		save_latencies(argv[5]);
	report(seconds);
	return 0;
}
