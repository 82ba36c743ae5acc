/*
 * How fast the detector is: texts of each file given, all detectors on, as the scanner has it (no list of findings). CPU time
 * of this process, so that a busy machine changes it little; the median of the rounds.
 *
 *     test/bench/detect/texts build/texts && bench_detect [--rounds N] build/texts/prose.txt ...
 *
 * A file whose name ends in .eml is a message. The last column is a hash of what was found: it tells whether two builds judge alike.
 */
#include "base/buf.h"
#include "detect/detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 99
#define FILE_MAX   (256 * 1024 * 1024)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool read_file(const char *path, struct sp_buf *out)
{
    FILE *f = fopen(path, "rb");
    size_t got;

    if (f == NULL)
        return false;
    do {
        got = fread(sp_buf_reserve(out, 65536), 1, 65536, f);
        sp_buf_commit(out, got);
    } while (got > 0);
    fclose(f);
    return sp_buf_rc(out) == SP_OK;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static uint64_t hash_of(const struct sp_detect_result *r)
{
    uint64_t h = r->score * UINT64_C(31) + (uint64_t)r->class;

    for (size_t i = 0; i < SP_DETECT_TYPES; i++)
        h = ((h * 31 + r->types[i].count) * 31 + r->types[i].distinct) * 31 + r->types[i].score;
    return h;
}

/* A text, or a whole message with its attachments. */
static void judge(struct sp_detect *d, struct sp_bytes file, bool message, struct sp_arena *arena,
                  struct sp_detect_result *out)
{
    static const struct sp_detect_limits limits;
    const struct sp_mime_source source = sp_mime_source_bytes(&file);

    if (!message) {
        sp_detect_text(d, file, NULL, arena, out);
    } else if (sp_detect_message(d, &source, &limits, arena, out) != SP_OK || out->partial) {
        fprintf(stderr, "bench_detect: not all of the message was examined\n");
        for (size_t i = 0; i < out->gap_count; i++)
            fprintf(stderr, "  part %u: %s\n", out->gaps[i].part, out->gaps[i].why);
    }
}

static void measure(struct sp_detect *d, const char *path, int rounds)
{
    struct sp_buf text;
    double took[ROUNDS_MAX];
    uint64_t hash = 0;

    sp_buf_init(&text, FILE_MAX);
    if (!read_file(path, &text)) {
        fprintf(stderr, "bench_detect: can't read %s\n", path);
        exit(1);
    }
    for (int i = 0; i < rounds; i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_detect_result result;
        double start = now();

        judge(d, sp_buf_bytes(&text), strstr(path, ".eml") != NULL, arena, &result);
        took[i] = now() - start;
        hash = hash_of(&result);
    }
    qsort(took, (size_t)rounds, sizeof(took[0]), by_size);
    printf("%-40s %7.2f MB %7.3f s %7.1f MB/s (best %.1f)  %016llx\n", path, (double)text.len / 1e6,
           took[rounds / 2], (double)text.len / 1e6 / took[rounds / 2],
           (double)text.len / 1e6 / took[0], (unsigned long long)hash);
    sp_buf_clear(&text);
}

int main(int argc, char **argv)
{
    SP_AUTO(sp_detect) d = NULL;
    struct sp_err err = {0};
    int rounds = 5, first = 1;

    if (argc > 2 && strcmp(argv[1], "--rounds") == 0) {
        rounds = (int)strtol(argv[2], NULL, 10);
        first = 3;
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || first >= argc) {
        fprintf(stderr, "usage: bench_detect [--rounds N] FILE...\n");
        return 64;
    }
    if (sp_detect_new(&d, &err) != SP_OK) {
        fprintf(stderr, "bench_detect: %s\n", err.text);
        return 1;
    }
    for (int i = first; i < argc; i++)
        measure(d, argv[i], rounds);
    return 0;
}
