/* Closed-loop load on a saslauthd socket: one UNIX connection a request, as libsasl makes them.

   saslload SOCKET CLIENTS REQUESTS FRAMES [LATENCIES]

   FRAMES holds the requests; request i is frame i modulo their number. A request is sent once and never again, whatever becomes of
   it. A client that meets a full backlog waits for its place, as the blocking connect of libsasl does: nothing of its request has
   been sent by then.

   Prints one JSON object: how many requests ended in which way, and the seconds from connect to whole answer. LATENCIES gets each
   request's. Exit status: 0 measured, 1 could not, 64 usage. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_ANSWER = 2 + 1023 /* libsasl's buffer */ };

struct client {
	int fd;
	size_t request;
	uint64_t started;
	size_t got;
	struct client *behind; /* while it waits for a place in the backlog */
	char answer[MAX_ANSWER];
};

static struct sockaddr_un server = {.sun_family = AF_UNIX};
static int poller;
static size_t backlog_waits;
static struct client *first_waiting, **last_waiting = &first_waiting;

static void end(struct client *client, enum outcome outcome)
{
	conclude(client->request, client->started, outcome);
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
static void receive(void *readable)
{
	struct client *client = readable;
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
	uint64_t begun = now(), heard = begun;

	for (size_t i = 0; i < count; i++)
		start(&clients[i]);
	while (ended < wanted && now() - heard < SILENCE_MS * UINT64_C(1000000)) {
		if (turn(poller, first_waiting ? 1 : 1000, receive))
			heard = now();
		admit_waiting();
	}
	for (size_t i = 0; i < count; i++)
		if (clients[i].fd >= 0)
			end(&clients[i], UNANSWERED);
	return (double)(now() - begun) * 1e-9;
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc > 6 || strlen(argv[1]) >= sizeof server.sun_path)
		errx(64, "usage: saslload SOCKET CLIENTS REQUESTS FRAMES [LATENCIES]");
	strcpy(server.sun_path, argv[1]);
	size_t count = number(argv[2], MAX_CLIENTS);
	prepare(number(argv[3], 100000000));
	map_frames(argv[4]);
	struct client *clients = allocate(count, sizeof *clients);
	for (size_t i = 0; i < count; i++)
		clients[i].fd = -1;
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		err(1, "epoll_create1");
	double seconds = run(clients, count);
	if (argc == 6)
		save_latencies(argv[5]);
	report(seconds, "backlog_waits", backlog_waits);
	return 0;
}
