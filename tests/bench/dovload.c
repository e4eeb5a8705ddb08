/* Closed-loop load on a socket for clients of Dovecot's auth protocol: connections that last, with many requests in flight on each.

   dovload SOCKET CONNECTIONS IN_FLIGHT REQUESTS FRAMES

   FRAMES holds two frames for each request: what stands in its line behind the id, and the user whom OK must name; request i is pair
   i modulo their number. A request is sent once, in a write of its own: those who log in to a mail server know nothing of each other.
   Whenever one is answered, the next one takes its place. A connection that ends is not made again; where none is left, what has
   not been sent is "unsent".

   Prints one JSON object: how many requests ended in which way, and the seconds from write to answer. "ok" names the right id and
   user, "no" is FAIL, "other" an OK for somebody else and whatever else has the id; "strays" are lines that answer nothing which is
   in flight. Exit status: 0 measured, 1 could not, 64 usage. */
#define _GNU_SOURCE
#include "load.h"
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_IN_FLIGHT = 256, MAX_REQUESTS = 10000000 /* times MAX_IN_FLIGHT they are ids of 32 bits */, MAX_LINE = 16384 };

/* A place for one request. Its ids go up by IN_FLIGHT, so that an id tells its place. */
struct place {
	uint32_t id;
	bool asked;
	size_t request;
	uint64_t begun;
};

struct connection {
	int fd;
	size_t got;
	char buffer[MAX_LINE];
	struct place *places;
};

static struct sockaddr_un server = {.sun_family = AF_UNIX};
static int poller;
static size_t in_flight, strays;

static void end(struct place *place, enum outcome outcome)
{
	conclude(place->request, place->begun, outcome);
	place->asked = false;
}

/* What was asked on it ends so. */
static void leave(struct connection *connection, enum outcome outcome)
{
	for (size_t i = 0; i < in_flight; i++)
		if (connection->places[i].asked)
			end(&connection->places[i], outcome);
	close(connection->fd);
	connection->fd = -1;
}

static void ask(struct connection *connection, struct place *place)
{
	if (started == wanted || connection->fd < 0)
		return;
	place->request = started++;
	place->id += (uint32_t)in_flight;
	const struct frame *frame = &frames[place->request * 2 % frame_count];
	char line[MAX_LINE];
	size_t head = (size_t)snprintf(line, sizeof line, "AUTH\t%u\t", place->id);
	memcpy(line + head, frame->start, frame->length);
	line[head + frame->length] = '\n';
	size_t size = head + frame->length + 1;
	place->begun = now();
	if (send(connection->fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
		place->asked = true;
	} else {
		conclude(place->request, place->begun, UNSENT);
		leave(connection, CLOSED);
	}
}

static bool names(const char *line, const struct frame *user)
{
	const char *field = strstr(line, "\tuser=");
	if (!field)
		return false;
	field += strlen("\tuser=");
	return strcspn(field, "\t") == user->length && !memcmp(field, user->start, user->length);
}

static enum outcome judge(const char *line, size_t request)
{
	if (!strncmp(line, "OK\t", 3))
		return names(line, &frames[(request * 2 + 1) % frame_count]) ? OK : OTHER;
	return strncmp(line, "FAIL\t", 5) ? OTHER : NO;
}

static struct place *answered(struct connection *connection, const char *line)
{
	const char *text = strchr(line, '\t');
	char *rest;
	if (!text || !isdigit((unsigned char)text[1]))
		return NULL;
	unsigned long id = strtoul(text + 1, &rest, 10);
	if (!id || (*rest && *rest != '\t'))
		return NULL;
	struct place *place = &connection->places[(id - 1) % in_flight];
	return place->asked && place->id == id ? place : NULL;
}

static void take(struct connection *connection, const char *line)
{
	if (connection->fd < 0)
		return;
	struct place *place = answered(connection, line);
	if (!place) {
		strays++;
		return;
	}
	end(place, judge(line, place->request));
	ask(connection, place);
}

/* Every whole line in the buffer; false: there is no end to one. */
static bool split(struct connection *connection, void (*each)(struct connection *, const char *))
{
	char *line = connection->buffer, *stop = line + connection->got, *feed;
	while ((feed = memchr(line, '\n', (size_t)(stop - line)))) {
		*feed = 0;
		each(connection, line);
		line = feed + 1;
	}
	connection->got = (size_t)(stop - line);
	memmove(connection->buffer, line, connection->got);
	return connection->got < sizeof connection->buffer;
}

static void receive(void *readable)
{
	struct connection *connection = readable;
	ssize_t size = recv(connection->fd, connection->buffer + connection->got, sizeof connection->buffer - connection->got, MSG_DONTWAIT);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		leave(connection, CLOSED);
	} else {
		connection->got += (size_t)size;
		if (!split(connection, take) && connection->fd >= 0)
			leave(connection, OTHER);
	}
}

static bool offered, done;

static void heed(struct connection *connection, const char *line)
{
	(void)connection;
	offered |= !strncmp(line, "MECH\tPLAIN", 10) && (!line[10] || line[10] == '\t');
	done |= !strcmp(line, "DONE");
}

/* Connected, and the handshake done. Nothing comes after its end: nothing has been asked. */
static void open_connection(struct connection *connection, size_t number_of_it)
{
	struct timeval patience = {.tv_sec = SILENCE_MS / 1000, .tv_usec = SILENCE_MS % 1000 * 1000};
	char hello[64];

	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 || setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		err(1, "socket");
	size_t size = (size_t)snprintf(hello, sizeof hello, "VERSION\t1\t0\nCPID\t%zu\n", (size_t)getpid() + number_of_it);
	if (connect(connection->fd, (struct sockaddr *)&server, sizeof server) < 0 ||
	    send(connection->fd, hello, size, MSG_NOSIGNAL) != (ssize_t)size)
		err(1, "%s", server.sun_path);
	for (offered = done = false; !done;) {
		ssize_t more = recv(connection->fd, connection->buffer + connection->got, sizeof connection->buffer - connection->got, 0);
		if (more <= 0)
			errx(1, "%s: %s before the handshake was done", server.sun_path, more ? "silent" : "closed");
		connection->got += (size_t)more;
		if (!split(connection, heed))
			errx(1, "%s: no handshake", server.sun_path);
	}
	if (!offered)
		errx(1, "%s: does not offer PLAIN", server.sun_path);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static bool any_left(const struct connection *connections, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (connections[i].fd >= 0)
			return true;
	return false;
}

/* Seconds from the first request to the last answer. */
static double run(struct connection *connections, size_t count)
{
	uint64_t begun = now(), heard = begun;

	for (size_t place = 0; place < in_flight; place++)
		for (size_t i = 0; i < count; i++)
			ask(&connections[i], &connections[i].places[place]);
	while (ended < wanted && now() - heard < SILENCE_MS * UINT64_C(1000000) && (ended < started || any_left(connections, count)))
		if (turn(poller, 1000, receive))
			heard = now();
	for (size_t i = 0; i < count; i++)
		if (connections[i].fd >= 0)
			leave(&connections[i], UNANSWERED);
	while (started < wanted)
		conclude(started++, now(), UNSENT);
	return (double)(now() - begun) * 1e-9;
}

static void check_frames(void)
{
	if (frame_count % 2)
		errx(1, "a request without its user");
	for (size_t i = 0; i < frame_count; i += 2)
		if (frames[i].length > MAX_LINE - 32)
			errx(1, "a request too long for one line");
}

int main(int argc, char **argv)
{
	if (argc != 6 || strlen(argv[1]) >= sizeof server.sun_path)
		errx(64, "usage: dovload SOCKET CONNECTIONS IN_FLIGHT REQUESTS FRAMES");
	strcpy(server.sun_path, argv[1]);
	size_t count = number(argv[2], MAX_CLIENTS);
	in_flight = number(argv[3], MAX_IN_FLIGHT);
	prepare(number(argv[4], MAX_REQUESTS));
	map_frames(argv[5]);
	check_frames();
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		err(1, "epoll_create1");
	struct connection *connections = allocate(count, sizeof *connections);
	for (size_t i = 0; i < count; i++) {
		connections[i].places = allocate(in_flight, sizeof *connections[i].places);
		for (size_t place = 0; place < in_flight; place++)
			connections[i].places[place].id = (uint32_t)(place + 1 - in_flight); /* wraps round to place + 1 with the first */
		open_connection(&connections[i], i);
	}
	double seconds = run(connections, count);
	report(seconds, "strays", strays);
	return 0;
}
