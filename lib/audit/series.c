/*
 * Files are found by their names alone, so that what an administrator compressed, copied or put back needs no register:
 * whether they belong together is for the chain to say. zlib reads a file that is not compressed as it is.
 */
#include "audit/series.h"

#include "base/fault.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define DIGITS      12
#define KEY_LEN_MAX 4096

/* ---- audit.continued ---- */

static void put_edge(struct sp_jw *w, const struct sp_merkle *tree)
{
    struct sp_buf hex;

    sp_buf_init(&hex, (size_t)2 * SP_SHA256_LEN);
    sp_jw_array(w, "tree");
    for (size_t k = 0; k < SP_MERKLE_DEPTH_MAX; k++) {
        if (!((tree->size >> k) & 1))
            continue;
        sp_buf_reset(&hex);
        sp_digest_format(&tree->node[k], &hex);
        sp_jw_text(w, NULL, sp_buf_bytes(&hex));
    }
    sp_jw_end(w);
    sp_buf_clear(&hex);
}

enum sp_rc sp_audit_continued_make(const struct sp_audit_state *state,
                                   const struct sp_audit_before *before,
                                   const struct sp_audit_public *key, struct sp_buf *out)
{
    SP_AUTO(sp_json_doc) keys = sp_json_doc_new();
    struct sp_buf text;
    enum sp_rc rc;
    struct sp_jw w;

    sp_buf_init(&text, KEY_LEN_MAX);
    sp_audit_public_set(keys, sp_json_root(keys), "key", key);
    rc = sp_json_canonical(sp_json_find(sp_json_root(keys), "key"), &text);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.continued");
    sp_jw_cstr(&w, "file", before->file);
    sp_jw_int(&w, "first_seq", (int64_t)before->first_seq);
    sp_jw_int(&w, "last_seq", (int64_t)state->last_seq);
    sp_jw_raw(&w, "key", sp_buf_bytes(&text));
    put_edge(&w, &state->tree);
    sp_jw_end(&w);
    sp_buf_clear(&text);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

bool sp_audit_continued_get(const struct sp_audit_line *line, struct sp_audit_state *out)
{
    const struct sp_json *tree = sp_json_find(line->root, "tree"), *item;
    struct sp_audit_state state;
    size_t k = 0;

    if (strcmp(line->event->name, "audit.continued") != 0 || line->seq < 2 || tree == NULL ||
        tree->type != SP_JSON_ARRAY)
        return false;
    sp_audit_state_init(&state);
    state.last_seq = line->seq - 1;
    state.head = line->prev;
    state.tree.size = state.last_seq;
    item = tree->first;
    for (; k < SP_MERKLE_DEPTH_MAX; k++) {
        if (!((state.tree.size >> k) & 1))
            continue;
        if (item == NULL || item->type != SP_JSON_TEXT ||
            !sp_digest_parse(item->text, &state.tree.node[k]))
            return false;
        item = item->next;
    }
    if (item != NULL)
        return false;
    *out = state;
    return true;
}

/* ---- names ---- */

void sp_audit_series_name(const char *path, uint64_t first_seq, struct sp_buf *out)
{
    sp_buf_printf(out, "%s.%0*llu", path, DIGITS, (unsigned long long)first_seq);
    sp_buf_put_u8(out, 0);
}

uint64_t sp_audit_series_number(const char *path, size_t *base_len)
{
    struct sp_bytes name = sp_bytes_cstr(path);
    uint64_t number = 0;
    size_t digits = 0;

    if (sp_bytes_ends_nocase(name, SP_LIT(".gz")))
        name.len -= 3;
    while (digits < name.len && name.ptr[name.len - digits - 1] >= '0' &&
           name.ptr[name.len - digits - 1] <= '9')
        digits++;
    if (digits < DIGITS || digits + 1 >= name.len || name.ptr[name.len - digits - 1] != '.' ||
        !sp_bytes_to_u64(sp_bytes_slice(name, name.len - digits, SIZE_MAX), &number))
        return 0;
    if (base_len != NULL)
        *base_len = name.len - digits - 1;
    return number;
}

/* ---- files in order ---- */

struct file {
    uint64_t first; /* 0: the one that is written */
    char *path;
};

struct sp_audit_series {
    struct file *files;
    size_t count;
    size_t room;
};

static void add(struct sp_audit_series *s, uint64_t first, char *path)
{
    if (s->count == s->room) {
        s->room = s->room == 0 ? 64 : 2 * s->room;
        s->files = sp_realloc(s->files, s->room * sizeof(*s->files));
    }
    s->files[s->count++] = (struct file){first, path};
}

static char *join(struct sp_bytes folder, const char *name)
{
    struct sp_buf b;

    sp_buf_init(&b, SP_AUDIT_SERIES_NAME_MAX);
    sp_buf_put(&b, folder);
    sp_buf_put_cstr(&b, name);
    return sp_buf_take_cstr(&b);
}

static bool is_compressed(const char *path)
{
    return sp_bytes_ends_nocase(sp_bytes_cstr(path), SP_LIT(".gz"));
}

/* By number; where a file is there twice, the one that is not compressed first. */
static int compare(const void *a, const void *b)
{
    const struct file *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (int)is_compressed(x->path) - (int)is_compressed(y->path);
}

static void drop_twins(struct sp_audit_series *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && s->files[kept - 1].first == s->files[i].first)
            sp_free(s->files[i].path);
        else
            s->files[kept++] = s->files[i];
    }
    s->count = kept;
}

enum sp_rc sp_audit_series_list(const char *path, struct sp_audit_series **out, struct sp_err *err)
{
    SP_AUTO(sp_audit_series) s = sp_calloc(1, sizeof(*s));
    const char *slash = strrchr(path, '/');
    size_t folder_len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    struct sp_bytes folder = sp_bytes(path, folder_len);
    char *name = folder_len == 0 ? sp_strdup("./") : sp_strdup_bytes(folder);
    DIR *dir = SP_FAULT_ERRNO("audit.list", EMFILE) ? NULL : opendir(name);
    struct dirent *e;
    size_t base_len;

    sp_free(name);
    if (dir == NULL)
        return sp_fail_errno(err, SP_E_IO, errno, "folder of %s", path);
    /* a stream of its own, which nobody else reads */
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): ours alone */
        uint64_t number = sp_audit_series_number(e->d_name, &base_len);

        if (number != 0 && base_len == strlen(path + folder_len) &&
            memcmp(e->d_name, path + folder_len, base_len) == 0)
            add(s, number, join(folder, e->d_name));
    }
    (void)closedir(dir);
    if (s->count > 0)
        qsort(s->files, s->count, sizeof(*s->files), compare);
    drop_twins(s);
    add(s, 0, sp_strdup(path));
    *out = SP_STEAL(s);
    return SP_OK;
}

void sp_audit_series_free(struct sp_audit_series *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        sp_free(s->files[i].path);
    sp_free(s->files);
    sp_free(s);
}

size_t sp_audit_series_count(const struct sp_audit_series *s)
{
    return s->count;
}

const char *sp_audit_series_path(const struct sp_audit_series *s, size_t i)
{
    return s->files[i].path;
}

uint64_t sp_audit_series_first(const struct sp_audit_series *s, size_t i)
{
    return s->files[i].first;
}

bool sp_audit_series_same(const struct sp_audit_series *a, const struct sp_audit_series *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->files[i].path, b->files[i].path) != 0)
            return false;
    return true;
}

/* ---- reading ---- */

struct sp_audit_source {
    gzFile file;
};

enum sp_rc sp_audit_source_open(const char *path, struct sp_audit_source **out, struct sp_err *err)
{
    struct sp_audit_source *s;
    gzFile file = NULL;
    int fd;

    errno = 0;
    if (strcmp(path, "-") == 0) {
        fd = dup(STDIN_FILENO);
        file = fd < 0 ? NULL : gzdopen(fd, "rb");
        if (file == NULL && fd >= 0)
            (void)close(fd);
    } else if (!SP_FAULT_ERRNO("audit.open", EMFILE)) {
        file = gzopen(path, "rbe");
    }
    if (file == NULL) {
        enum sp_rc rc = errno == ENOENT ? SP_E_NOT_FOUND : SP_E_IO;

        return sp_fail_errno(err, rc, errno, "%s", path);
    }
    s = sp_calloc(1, sizeof(*s));
    s->file = file;
    *out = s;
    return SP_OK;
}

void sp_audit_source_free(struct sp_audit_source *s)
{
    if (s == NULL)
        return;
    (void)gzclose_r(s->file);
    sp_free(s);
}

int sp_audit_source_read(struct sp_audit_source *s, void *out, unsigned max)
{
    int n = gzread(s->file, out, max);
    int failed = Z_OK;

    if (n <= 0)
        (void)gzerror(s->file, &failed); /* NOLINT(concurrency-mt-unsafe): of this file */
    return n == 0 && failed != Z_OK ? -1 : n;
}

enum sp_rc sp_audit_source_read_at(struct sp_audit_source *s, uint64_t offset, void *out,
                                   unsigned len)
{
    if (gzseek(s->file, (z_off_t)offset, SEEK_SET) < 0)
        return SP_E_AUDIT_INCOMPLETE;
    return gzread(s->file, out, len) == (int)len ? SP_OK : SP_E_AUDIT_INCOMPLETE;
}
