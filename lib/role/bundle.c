/*
 * A sorted array of named byte strings: bundles hold tens of files and are looked at when a role starts, so nothing
 * cleverer is wanted. Everything is wiped on free, since keys are among the files.
 */
#include "role/bundle.h"

#include "base/fault.h"
#include "base/memfd.h"
#include "base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    char *name;
    uint8_t *data;
    size_t len;
};

struct sp_role_bundle {
    struct file *files;
    size_t count;
    size_t total_len;
};

struct sp_role_bundle *sp_role_bundle_new(void)
{
    return sp_calloc(1, sizeof(struct sp_role_bundle));
}

static void file_clear(struct file *f)
{
    sp_wipe(f->data, f->len);
    sp_free(f->data);
    sp_free(f->name);
}

void sp_role_bundle_free(struct sp_role_bundle *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->count; i++)
        file_clear(&b->files[i]);
    sp_free(b->files);
    sp_free(b);
}

/* returns: where name stands, or where it would */
static size_t place(const struct sp_role_bundle *b, struct sp_bytes name, bool *found)
{
    size_t low = 0, high = b->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = sp_bytes_cmp(sp_bytes_cstr(b->files[middle].name), name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum sp_rc add(struct sp_role_bundle *b, struct sp_bytes name, struct sp_bytes data)
{
    bool found;
    size_t at = place(b, name, &found);

    if (name.len == 0 || name.len > SP_ROLE_BUNDLE_NAME_MAX ||
        sp_bytes_find(name, '\0') != SIZE_MAX || data.len > SP_ROLE_BUNDLE_MAX - b->total_len ||
        (!found && b->count >= SP_ROLE_BUNDLE_FILES_MAX))
        return SP_E_LIMIT;
    if (found) {
        b->total_len -= b->files[at].len;
        file_clear(&b->files[at]);
    } else {
        b->files = sp_realloc(b->files, (b->count + 1) * sizeof(*b->files));
        memmove(b->files + at + 1, b->files + at, (b->count - at) * sizeof(*b->files));
        b->count++;
    }
    b->files[at] = (struct file){
        .name = sp_strdup_bytes(name), .data = sp_malloc(data.len + 1), .len = data.len};
    if (data.len > 0)
        memcpy(b->files[at].data, data.ptr, data.len);
    b->total_len += data.len;
    return SP_OK;
}

enum sp_rc sp_role_bundle_add(struct sp_role_bundle *b, const char *name, struct sp_bytes data)
{
    return add(b, sp_bytes_cstr(name), data);
}

struct sp_bytes sp_role_bundle_find(const struct sp_role_bundle *b, struct sp_bytes name)
{
    bool found;
    size_t at = place(b, name, &found);

    return found ? sp_bytes(b->files[at].data, b->files[at].len) : sp_bytes(NULL, 0);
}

bool sp_role_bundle_next(const struct sp_role_bundle *b, size_t *at, struct sp_bytes *name,
                         struct sp_bytes *data)
{
    if (*at >= b->count)
        return false;
    *name = sp_bytes_cstr(b->files[*at].name);
    *data = sp_bytes(b->files[*at].data, b->files[*at].len);
    (*at)++;
    return true;
}

void sp_role_bundle_encode(const struct sp_role_bundle *b, struct sp_buf *out)
{
    struct sp_bytes name, data;
    size_t at = 0;

    sp_buf_put_u32(out, (uint32_t)b->count);
    while (sp_role_bundle_next(b, &at, &name, &data)) {
        sp_buf_put_var(out, name);
        sp_buf_put_var(out, data);
    }
}

enum sp_rc sp_role_bundle_decode(struct sp_bytes data, struct sp_role_bundle **out)
{
    struct sp_reader r = sp_reader(data);
    SP_AUTO(sp_role_bundle) b = sp_role_bundle_new();
    uint32_t count = sp_reader_u32(&r);
    struct sp_bytes last = sp_bytes(NULL, 0);

    for (uint32_t i = 0; i < count && sp_reader_rc(&r) == SP_OK; i++) {
        struct sp_bytes name = sp_reader_var(&r, SP_ROLE_BUNDLE_NAME_MAX);
        struct sp_bytes file = sp_reader_var(&r, SP_ROLE_BUNDLE_MAX);

        if (sp_reader_rc(&r) != SP_OK || sp_bytes_cmp(last, name) >= 0 ||
            add(b, name, file) != SP_OK)
            sp_reader_fail(&r);
        last = name;
    }
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = SP_STEAL(b);
    return SP_OK;
}

static bool write_all(int fd, struct sp_bytes data)
{
    while (data.len > 0) {
        ssize_t n =
            SP_FAULT_ERRNO("role.bundle-write", ENOSPC) ? -1 : write(fd, data.ptr, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data.ptr += n;
        data.len -= (size_t)n;
    }
    return true;
}

enum sp_rc sp_role_bundle_to_memfd(const struct sp_role_bundle *b, int *fd)
{
    struct sp_buf buf;
    enum sp_rc rc;
    int made = sp_memfd_new("sallyport-bundle");

    if (made < 0)
        return SP_E_IO;
    sp_buf_init(&buf, SP_ROLE_BUNDLE_MAX + (size_t)SP_ROLE_BUNDLE_FILES_MAX * 1100);
    sp_role_bundle_encode(b, &buf);
    rc = sp_buf_rc(&buf);
    if (rc == SP_OK &&
        (!write_all(made, sp_buf_bytes(&buf)) ||
         fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0))
        rc = SP_E_IO;
    sp_buf_wipe(&buf);
    if (rc == SP_OK)
        *fd = made;
    else
        close(made);
    return rc;
}

enum sp_rc sp_role_bundle_from_memfd(int fd, struct sp_role_bundle **out)
{
    struct stat st;
    void *map;
    enum sp_rc rc;

    if (fstat(fd, &st) != 0 || (fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0)
        return SP_E_IO;
    if (st.st_size == 0)
        return SP_E_MALFORMED;
    map = SP_FAULT("role.bundle-map") ? MAP_FAILED
                                      : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
                                             0); /* sealed: it can't shrink */
    if (map == MAP_FAILED)
        return SP_E_IO;
    rc = sp_role_bundle_decode(sp_bytes(map, (size_t)st.st_size), out);
    munmap(map, (size_t)st.st_size);
    return rc;
}
