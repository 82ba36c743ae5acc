/*
 * A small audit file in memory, as a ledger would write it, for the tests of this folder.
 */
#ifndef SP_TEST_UNIT_AUDIT_CHAIN_H
#define SP_TEST_UNIT_AUDIT_CHAIN_H

#include <check.h>
#include <stdio.h>

#include "audit/checkpoint.h"
#include "base/text.h"
#include "support/fake_clock.h"

#define CHAIN_MAX 64

struct chain {
    struct sp_audit_state state;
    struct sp_audit_signer signer;
    char *line[CHAIN_MAX]; /* without line ends */
    size_t count;
    struct sp_id message;
};

static inline void chain_keep(struct chain *c, struct sp_buf *line)
{
    ck_assert(c->count < CHAIN_MAX);
    sp_audit_state_add(&c->state, sp_buf_bytes(line));
    c->line[c->count++] = sp_buf_take_cstr(line);
}

static inline void chain_event(struct chain *c, const char *event)
{
    struct sp_audit_stamp stamp = {.node = "gw1",
                                   .seq = c->state.last_seq + 1,
                                   .prev = c->state.head,
                                   .time_ms = 1795359845118 + (int64_t)c->count,
                                   .origin = {.shard = "0", .segment = 1, .record = c->count}};
    struct sp_err err = {0};
    struct sp_buf line;

    sp_buf_init(&line, SP_AUDIT_LINE_MAX);
    ck_assert_msg(sp_audit_line_make(sp_bytes_cstr(event), &stamp, &line, &err) == SP_OK, "%s: %s",
                  event, err.text);
    chain_keep(c, &line);
}

static inline void chain_message_event(struct chain *c, const char *event, const char *rest)
{
    char id[SP_ID_TEXT_LEN + 1];
    char text[1024];

    sp_id_format(&c->message, id);
    snprintf(text, sizeof(text), "{\"event\":\"%s\",\"message\":\"%s\"%s}", event, id, rest);
    chain_event(c, text);
}

static inline void chain_checkpoint(struct chain *c)
{
    struct sp_audit_clock clock = {.synced = true, .offset_ms = 0};
    struct sp_buf line;

    sp_buf_init(&line, SP_AUDIT_LINE_MAX);
    ck_assert_int_eq(
        sp_audit_checkpoint_make(&c->state, &c->signer, &clock, 1795359846000, &line, NULL), SP_OK);
    chain_keep(c, &line);
}

static inline void chain_signer(struct sp_audit_signer *signer, uint64_t seed)
{
    struct fake_random random;
    uint8_t public_key[SP_SIGN_PUBLIC_LEN];

    fake_random_init(&random, seed);
    signer->node = "gw1";
    sp_secret_init(&signer->secret, &random.random);
    ck_assert_int_eq(sp_sign_public(&signer->secret, public_key), SP_OK);
    ck_assert(sp_audit_public_from_raw(sp_bytes(public_key, sizeof(public_key)), &signer->key));
}

static inline void chain_started(struct chain *c)
{
    char text[512];
    struct sp_buf base64;

    sp_buf_init(&base64, 128);
    sp_base64_encode(&base64, sp_bytes(c->signer.key.key, SP_SIGN_PUBLIC_LEN));
    sp_buf_put_u8(&base64, 0);
    snprintf(text, sizeof(text),
             "{\"event\":\"audit.started\",\"key\":{\"id\":\"%s\",\"public\":\"%s\"}}",
             c->signer.key.id, (const char *)base64.ptr);
    chain_event(c, text);
    sp_buf_clear(&base64);
}

/* Ten lines: start, a message, a checkpoint (6), some other events, a checkpoint at the end (10). */
static inline void chain_init(struct chain *c)
{
    struct fake_random random;
    struct fake_clock clock;

    memset(c, 0, sizeof(*c));
    fake_random_init(&random, 7);
    fake_clock_init(&clock, 1795359845118);
    c->message = sp_id_new(&clock.clock, &random.random);
    chain_signer(&c->signer, 1);
    sp_audit_state_init(&c->state);
    chain_started(c);
    chain_message_event(c, "message.accepted", ",\"to\":[\"a@b.example\"]");
    chain_event(c, "{\"event\":\"intake.refused\",\"count\":3}");
    chain_message_event(c, "delivery.attempted", ",\"n\":[0],\"outcome\":\"delivered\"");
    chain_message_event(c, "message.settled",
                        ",\"accepted_seq\":2,\"recipients\":[{\"n\":0,\"seq\":4}]");
    chain_checkpoint(c);
    chain_event(c, "{\"event\":\"key.imported\",\"key\":\"smime:01\"}");
    chain_event(c, "{\"event\":\"admin.acted\",\"what\":\"umlaut \\u00e4\"}");
    chain_event(c, "{\"event\":\"audit.stopped\"}");
    chain_checkpoint(c);
}

static inline void chain_clear(struct chain *c)
{
    for (size_t i = 0; i < c->count; i++)
        sp_free(c->line[i]);
}

/* Puts lines from..to-1 into out, each with its line end. */
static inline void chain_text(const struct chain *c, size_t from, size_t to, struct sp_buf *out)
{
    for (size_t i = from; i < to; i++) {
        sp_buf_put_cstr(out, c->line[i]);
        sp_buf_put_u8(out, '\n');
    }
}

#endif
