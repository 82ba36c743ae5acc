/*
 * One block of a document, found by its two marks. What stands outside them is left as it is.
 */
#include "support/doc_table.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOC_MAX ((size_t)1 << 20)

static void read_whole(const char *path, struct sp_buf *out)
{
    FILE *file = fopen(path, "re");
    uint8_t block[4096];
    size_t n;

    ck_assert_msg(file != NULL, "%s is not there", path);
    while ((n = fread(block, 1, sizeof(block), file)) > 0)
        sp_buf_put(out, sp_bytes(block, n));
    (void)fclose(file);
    ck_assert(sp_buf_rc(out) == SP_OK);
}

static void write_whole(const char *path, struct sp_bytes text)
{
    FILE *file = fopen(path, "we");

    ck_assert(file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len);
    ck_assert_int_eq(fclose(file), 0);
}

/* returns: where `mark` begins; fails the test if it is not there */
static size_t find(struct sp_bytes text, const char *path, const char *name, const char *what)
{
    char mark[128];
    int len = snprintf(mark, sizeof(mark), "<!-- %s: %s -->\n", name, what);
    const void *at = memmem(text.ptr, text.len, mark, (size_t)len);

    ck_assert_msg(at != NULL, "%s has no %s", path, mark);
    return (size_t)((const uint8_t *)at - text.ptr) +
           (strcmp(what, "begin") == 0 ? (size_t)len : 0);
}

void doc_table(const char *source_dir, const char *file, const char *name, struct sp_bytes made)
{
    const char *mode = getenv("SALLYPORT_TABLES");
    struct sp_bytes text;
    struct sp_buf old;
    struct sp_buf all;
    char path[1024];
    size_t begin;
    size_t end;

    (void)snprintf(path, sizeof(path), "%s/%s", source_dir, file);
    sp_buf_init(&old, DOC_MAX);
    sp_buf_init(&all, DOC_MAX);
    read_whole(path, &old);
    text = sp_buf_bytes(&old);
    begin = find(text, path, name, "begin");
    end = find(text, path, name, "end");
    ck_assert(begin <= end);
    if (mode != NULL && strcmp(mode, "write") == 0) {
        sp_buf_put(&all, sp_bytes_slice(text, 0, begin));
        sp_buf_put(&all, made);
        sp_buf_put(&all, sp_bytes_slice(text, end, SIZE_MAX));
        write_whole(path, sp_buf_bytes(&all));
    } else {
        ck_assert_msg(sp_bytes_eq(made, sp_bytes_slice(text, begin, end - begin)),
                      "%s: the table %s is not what this run made; run it again with "
                      "SALLYPORT_TABLES=write and look at the difference. Made:\n%.*s",
                      file, name, SP_FMT(made));
    }
    sp_buf_clear(&old);
    sp_buf_clear(&all);
}
