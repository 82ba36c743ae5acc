/*
 * BDAT (RFC 3030 2): a message as counted octets instead of lines up to a dot. The count rules: what a BDAT announces is
 * taken or dropped to the last octet before the next command is looked at, refused or not, since octets read as commands
 * are commands that nobody sent; if the count itself can't be read, or is far beyond what may come, the session ends.
 * The text must be as clean as behind DATA (no bare CR or LF, no NUL), and a CRLF may lie across two chunks. A message that
 * lacks its last CRLF gets it, so that all behind us is whole lines.
 */
#include "smtp/server_priv.h"

/* Reads "octets" or "octets LAST". returns: whether it is that */
static bool take_count(struct sp_bytes arg, uint64_t *octets, bool *last)
{
    struct sp_bytes count;

    if (!sp_bytes_split(&arg, ' ', &count) || count.len > 20 || !sp_bytes_to_u64(count, octets))
        return false;
    arg = sp_bytes_trim(arg);
    *last = sp_bytes_eq_nocase(arg, SP_LIT("LAST"));
    return *last || arg.len == 0;
}

/* Refuses a chunk whose octets are on their way, and with it the message. */
static void refuse_chunk(struct sp_smtp_server *s, uint64_t octets, enum sp_rc rc)
{
    bool endless =
        octets > s->config->size_limit && octets - s->config->size_limit > s->config->size_limit;

    sp_smtp_server_fault(s, rc);
    if (s->state == CHUNK || s->state == CHUNK_WAIT || s->state == RCPT)
        sp_smtp_server_reset(s);
    if (endless)
        sp_smtp_server_close(s, rc);
    s->swallow = octets;
}

void sp_smtp_server_chunk_start(struct sp_smtp_server *s, struct sp_bytes arg, enum sp_rc rc)
{
    uint64_t octets = 0, before = s->state == CHUNK_WAIT ? s->data.size : 0;
    bool last = false;

    if (!take_count(arg, &octets, &last)) {
        sp_smtp_server_fault(s, rc == SP_OK ? SP_E_SMTP_SYNTAX : rc);
        sp_smtp_server_close(s, SP_E_SMTP_SYNTAX);
        return;
    }
    if (rc == SP_OK && !s->extended)
        rc = SP_E_SMTP_VERB_OFF;
    if (rc == SP_OK && octets == 0 && !last && ++s->idle > s->config->max_idle)
        rc = SP_E_SMTP_ERRORS_MANY;
    if (rc == SP_OK && (octets > s->config->size_limit || before > s->config->size_limit - octets))
        rc = SP_E_SMTP_SIZE;
    if (rc != SP_OK) {
        refuse_chunk(s, octets, rc);
        return;
    }
    s->octets = octets;
    s->last = last;
    if (s->state == CHUNK_WAIT) {
        sp_smtp_server_enter(s, CHUNK);
        return;
    }
    s->chunking = true;
    s->normalise = false;
    sp_smtp_server_ask(s, SP_SMTP_SERVER_DATA);
}

void sp_smtp_server_chunk_refused(struct sp_smtp_server *s)
{
    if (s->state == CLOSED)
        return;
    s->swallow = s->octets;
    sp_smtp_server_reset(s);
}

bool sp_smtp_server_swallow(struct sp_smtp_server *s, struct sp_bytes *input)
{
    size_t len = input->len < s->swallow ? input->len : (size_t)s->swallow;

    s->swallow -= len;
    *input = sp_bytes_slice(*input, len, input->len);
    return len > 0;
}

/* The chunk has come whole. */
static void end_chunk(struct sp_smtp_server *s)
{
    if (s->last && s->held_cr) {
        s->held_cr = false;
        sp_smtp_server_bare(s);
        if (s->state == CLOSED)
            return;
    }
    if (s->last && s->line_len > 0)
        sp_smtp_server_late_crlf(s);
    if (s->too_big || s->too_long || s->last) {
        sp_smtp_server_data_end(s);
        return;
    }
    sp_buf_put_cstr(&s->out, "250 2.0.0 ");
    sp_buf_put_dec(&s->out, (int64_t)s->data_taken);
    sp_buf_put_cstr(&s->out, " octets so far\r\n");
    sp_smtp_server_enter(s, CHUNK_WAIT);
}

/* A CR was the last octet of the chunk before: with a LF it ends a line, else it is bare. */
static size_t take_held(struct sp_smtp_server *s, struct sp_bytes in)
{
    s->held_cr = false;
    if (in.ptr[0] != '\n') {
        sp_smtp_server_bare(s);
        return 0;
    }
    s->data_taken++;
    sp_smtp_server_late_crlf(s);
    return 1;
}

bool sp_smtp_server_chunk(struct sp_smtp_server *s, struct sp_bytes *input)
{
    size_t len = input->len < s->octets ? input->len : (size_t)s->octets;
    struct sp_bytes in = sp_bytes_slice(*input, 0, len);
    bool moved = true;

    if (s->octets == 0) {
        end_chunk(s);
        return true;
    }
    if (len == 0)
        return false;
    if (s->held_cr) {
        in = sp_bytes_slice(in, take_held(s, in), len);
    } else if (len == 1 && s->octets == 1 && in.ptr[0] == '\r') {
        s->held_cr = true;
        s->data_taken++;
        in = sp_bytes_slice(in, 1, 0);
    } else {
        moved = sp_smtp_server_text(s, &in, false);
    }
    s->octets -= len - in.len;
    *input = sp_bytes_slice(*input, len - in.len, input->len);
    return moved;
}
