/* What the load generators have in common: requests out of a file, what became of each, and how long it took. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef SILENCE_MS
#define SILENCE_MS 30000
#endif
enum { MAX_CLIENTS = 65536 };

enum outcome { OK, NO, OTHER, CLOSED, UNSENT, UNANSWERED, OUTCOMES };

struct frame {
	const char *start;
	uint32_t length;
};

extern struct frame *frames;
extern size_t frame_count;
extern size_t wanted, started, ended; /* requests, which are numbered from 0 in the order of their start */

uint64_t now(void); /* nanoseconds */
void *allocate(size_t count, size_t size);

/* An argument from 1 to `most`; ends the program where it is none. */
size_t number(const char *text, size_t most);

/* FRAMES: bytes as they go over the wire, each frame behind its length (uint32_t, host order). */
void map_frames(const char *path);

/* So many requests are wanted. */
void prepare(size_t requests);

void conclude(size_t request, uint64_t begun, enum outcome outcome);

/* One wait for events, and `receive` for each; false: there was none. */
bool turn(int poller, int patience_ms, void (*receive)(void *));

/* Each request's nanoseconds (uint64_t, host order) in the order of the requests; only before `report`, which sorts them. */
void save_latencies(const char *path);

/* One JSON object: how many requests ended in which way, one more count of the program's own, and times in seconds. */
void report(double seconds, const char *name, size_t count);
