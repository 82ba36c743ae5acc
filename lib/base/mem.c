/*
 * Allocation that does not fail: a small allocation that the kernel refuses means that the machine is out of memory, and
 * no careful unwinding of one session would help; the process ends with a message, its supervisor starts it anew, and
 * whatever was answered with 250 is on disk already.
 */
#include "base/mem.h"

#include "base/fault.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static void out_of_memory(size_t len) __attribute__((noreturn));

static void out_of_memory(size_t len)
{
    fprintf(stderr, "sallyport: out of memory (asked for %zu bytes)\n", len);
    abort();
}

void *sp_calloc(size_t count, size_t len)
{
    void *p = SP_FAULT("memory.small") ? NULL : calloc(count == 0 ? 1 : count, len == 0 ? 1 : len);

    if (p == NULL)
        out_of_memory(len);
    return p;
}

void *sp_malloc(size_t len)
{
    void *p = SP_FAULT("memory.small") ? NULL : malloc(len == 0 ? 1 : len);

    if (p == NULL)
        out_of_memory(len);
    return p;
}

void *sp_realloc(void *ptr, size_t len)
{
    void *p = SP_FAULT("memory.small") ? NULL : realloc(ptr, len == 0 ? 1 : len);

    if (p == NULL)
        out_of_memory(len);
    return p;
}

void *sp_malloc_try(size_t len)
{
    return SP_FAULT("memory.large") ? NULL : malloc(len == 0 ? 1 : len);
}

void sp_free(void *ptr)
{
    free(ptr);
}

char *sp_strdup_bytes(struct sp_bytes b)
{
    char *s = sp_malloc(b.len + 1);

    if (b.len > 0)
        memcpy(s, b.ptr, b.len);
    s[b.len] = '\0';
    return s;
}

char *sp_strdup(const char *s)
{
    return sp_strdup_bytes(sp_bytes_cstr(s));
}

void sp_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}

void sp_out_of(const char *what)
{
    fprintf(stderr, "sallyport: out of %s\n", what);
    abort();
}

void sp_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "sallyport: %s:%d: this must hold and does not: %s\n", file, line, what);
    abort();
}

void sp_mem_trim(void)
{
    (void)malloc_trim(0);
}
