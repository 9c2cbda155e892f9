/* Dirties memory at a stated rate: sodbench-memory SIZE_MIB RATE_MIB_S. Runs until it is killed.
 *
 * It walks through SIZE_MIB of memory, page after page and round again, and changes eight bytes of each. Once a second
 * it prints what it dirtied: "dirtied PAGES pages in NANOSECONDS ns". It drops what it could not write in time, for
 * instance while the guest was paused, so that it never writes faster than stated.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE = 4096, MIB = 1 << 20 };
static const int64_t SECOND_NS = 1000000000;
static const int64_t TICK_NS = 10000000;   /* writes in bursts of a hundredth of a second */
static const int64_t ARREARS_NS = 50000000; /* older debts are dropped */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static long number(const char *text, const char *name, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > most) {
        fprintf(stderr, "sodbench-memory: %s is a whole number from 1 to %ld, not %s\n", name, most, text);
        exit(2);
    }
    return value;
}

/* Pages that neither compress nor repeat within a guest: xorshift64 (Marsaglia, 2003). */
static void fill(uint64_t *words, size_t count)
{
    uint64_t state = 88172645463325252u;
    for (size_t at = 0; at < count; at++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words[at] = state;
    }
}

static void write_paced(char *memory, size_t pages, int64_t rate)
{
    int64_t due_ns = now_ns(), reported_ns = due_ns, dirtied = 0;
    const int64_t page_ns = SECOND_NS / rate;
    uint64_t round = 0;
    size_t at = 0;
    for (;;) {
        int64_t now = now_ns();
        if (now - due_ns > ARREARS_NS)
            due_ns = now - ARREARS_NS;
        for (; due_ns < now; due_ns += page_ns, dirtied++) {
            *(volatile uint64_t *)(memory + at * PAGE) += ++round;
            at = at + 1 == pages ? 0 : at + 1;
        }
        now = now_ns();
        if (now - reported_ns >= SECOND_NS) {
            printf("dirtied %lld pages in %lld ns\n", (long long)dirtied, (long long)(now - reported_ns));
            reported_ns = now;
            dirtied = 0;
        }
        struct timespec tick = {0, TICK_NS};
        nanosleep(&tick, NULL);
    }
}

int main(int count, char **words)
{
    if (count != 3) {
        fputs("usage: sodbench-memory SIZE_MIB RATE_MIB_S\n", stderr);
        return 2;
    }
    size_t size = (size_t)number(words[1], "SIZE_MIB", 4194304) * MIB;
    int64_t rate = (int64_t)number(words[2], "RATE_MIB_S", 100000) * (MIB / PAGE);
    setvbuf(stdout, NULL, _IOLBF, 0);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "sodbench-memory: cannot have %zu MiB: %s\n", size / MIB, strerror(errno));
        return 1;
    }
    fill((uint64_t *)memory, size / sizeof(uint64_t));
    printf("writing %zu MiB at %s MiB/s\n", size / MIB, words[2]);
    write_paced(memory, size / PAGE, rate);
}
