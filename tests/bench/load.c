#define _GNU_SOURCE
#include "load.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

struct frame *frames;
size_t frame_count, wanted, started, ended;

static const char *const outcome_names[OUTCOMES] = {"ok", "no", "other", "closed", "unsent", "unanswered"};
static size_t outcomes[OUTCOMES];
static uint64_t *latencies;

uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);
	if (!memory)
		err(1, "memory");
	return memory;
}

size_t number(const char *text, size_t most)
{
	char *rest;
	errno = 0;
	unsigned long long value = strtoull(text, &rest, 10);
	if (errno || *rest || rest == text || value < 1 || value > most)
		errx(64, "%s: not a number from 1 to %zu", text, most);
	return (size_t)value;
}

void map_frames(const char *path)
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

void prepare(size_t requests)
{
	wanted = requests;
	latencies = allocate(requests, sizeof *latencies);
}

void conclude(size_t request, uint64_t begun, enum outcome outcome)
{
	latencies[request] = now() - begun;
	outcomes[outcome]++;
	ended++;
}

bool turn(int poller, int patience_ms, void (*receive)(void *))
{
	struct epoll_event events[EVENTS];
	int ready = epoll_wait(poller, events, EVENTS, patience_ms);
	if (ready < 0 && errno != EINTR)
		err(1, "epoll_wait");
	for (int i = 0; i < ready; i++)
		receive(events[i].data.ptr);
	return ready > 0;
}

void save_latencies(const char *path)
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

void report(double seconds, const char *name, size_t count)
{
	qsort(latencies, ended, sizeof *latencies, ascending);
	printf("{\"requests\": %zu", ended);
	for (int i = 0; i < OUTCOMES; i++)
		printf(", \"%s\": %zu", outcome_names[i], outcomes[i]);
	printf(", \"%s\": %zu, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f, \"longest\": %.9f}\n", name, count, seconds,
	       (double)latencies[ended / 2] * 1e-9, (double)latencies[ended * 99 / 100] * 1e-9, (double)latencies[ended - 1] * 1e-9);
}
