/*
 * A DKIM signature stands in front of what it signs, and is known only at the end. So with a key the message is written
 * twice: first sealed aside (in memory up to a limit, then at the start of the file), then, behind its signature, for
 * good. The first pass has a key of its own that is thrown away, and its place in the file is given back.
 */
#include "gateway/sealer/output.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MEMORY_MAX     (1U << 20) /* bytes that a first pass keeps in memory */
#define SIGNATURES_MAX (256U << 10)

void sealer_output_init(struct sealer_output *o, const struct sp_id *id, int fd,
                        struct sp_dkim_sign *dkim, struct sp_err *err)
{
    *o = (struct sealer_output){.id = *id, .fd = fd, .dkim = dkim, .err = err};
    o->file = (struct sp_content_sink){sp_content_sink_fd, &o->fd};
    o->in_memory = dkim != NULL;
    o->writer = sp_content_writer_new(id, sp_random_system(), o->in_memory ? NULL : &o->file);
}

void sealer_output_clear(struct sealer_output *o)
{
    sp_content_writer_free(o->writer);
    sp_dkim_sign_free(o->dkim);
}

static enum sp_rc write_output(void *ctx, struct sp_bytes data)
{
    struct sealer_output *o = ctx;
    enum sp_rc rc = sp_content_writer_feed(o->writer, data);

    if (rc == SP_OK && o->in_memory && sp_content_writer_len(o->writer) > MEMORY_MAX) {
        o->in_memory = false;
        rc = sp_content_writer_spill(o->writer, &o->file);
    }
    if (rc == SP_OK && o->dkim != NULL)
        rc = sp_dkim_sign_feed(o->dkim, data, o->err);
    return rc;
}

struct sp_seal_sink sealer_output_sink(struct sealer_output *o)
{
    return (struct sp_seal_sink){write_output, o};
}

static enum sp_rc hand_over(const struct sealer_output *o, const struct sp_content_writer *writer,
                            uint64_t offset, struct sp_content *content,
                            uint8_t sha256[SP_SHA256_LEN])
{
    int fd = SP_FAULT_ERRNO("sealer.dup", EMFILE) ? -1 : fcntl(o->fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        return sp_fail_errno(o->err, SP_E_IO, errno, "out of descriptors");
    sp_content_writer_handle(writer, fd, offset, content);
    sp_content_writer_sha256(writer, sha256);
    return SP_OK;
}

static enum sp_rc copy_all(struct sp_content_reader *from, struct sp_content_writer *to)
{
    struct sp_bytes piece = {NULL, 1};
    enum sp_rc rc = SP_OK;

    for (uint64_t at = 0; rc == SP_OK && piece.len > 0; at += piece.len) {
        rc = sp_content_view(from, at, &piece);
        if (rc == SP_OK && piece.len > 0)
            rc = sp_content_writer_feed(to, piece);
    }
    return rc;
}

/* The second pass: signature, then the first pass's message. */
static enum sp_rc rewrite(struct sealer_output *o, struct sp_bytes signature,
                          struct sp_content *content, uint8_t sha256[SP_SHA256_LEN])
{
    off_t offset = lseek(o->fd, 0, SEEK_CUR);
    SP_AUTO(sp_content_writer) writer = sp_content_writer_new(&o->id, sp_random_system(), &o->file);
    SP_AUTO(sp_content_reader) reader = NULL;
    struct sp_content first;
    enum sp_rc rc;
    int fd = -1;

    if (!o->in_memory)
        fd = SP_FAULT_ERRNO("sealer.dup", EMFILE) ? -1 : fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
    if (offset < 0 || (!o->in_memory && fd < 0))
        return sp_fail_errno(o->err, SP_E_IO, errno, "can't read the first pass");
    sp_content_writer_handle(o->writer, fd, 0, &first);
    reader = sp_content_reader_new(&first);
    rc = sp_content_writer_feed(writer, signature);
    if (rc == SP_OK)
        rc = copy_all(reader, writer);
    if (rc == SP_OK)
        rc = sp_content_writer_finish(writer);
    if (rc == SP_OK)
        rc = hand_over(o, writer, (uint64_t)offset, content, sha256);
    sp_content_reader_free(SP_STEAL(reader));
    sp_content_clear(&first);
    if (rc == SP_OK &&
        offset > 0) /* a hole where the first pass was; without one, it costs space only */
        (void)fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, offset);
    return rc;
}

enum sp_rc sealer_output_finish(struct sealer_output *o, struct sp_content *content,
                                uint8_t sha256[SP_SHA256_LEN])
{
    enum sp_rc rc = sp_content_writer_finish(o->writer);
    struct sp_buf signature;

    if (rc != SP_OK)
        return sp_fail(o->err, rc, "can't write the sealed message");
    if (o->dkim == NULL)
        return hand_over(o, o->writer, 0, content, sha256);
    sp_buf_init(&signature, SIGNATURES_MAX);
    rc = sp_dkim_sign_finish(o->dkim, &signature, o->err);
    if (rc == SP_OK)
        rc = rewrite(o, sp_buf_bytes(&signature), content, sha256);
    sp_buf_clear(&signature);
    return rc;
}
