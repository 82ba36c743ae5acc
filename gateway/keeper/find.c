/*
 * The relays' question: which keys may be used for this address now, and which may not, with why. An address without keys
 * is an answer; a store that fails is an error, which the relay takes as not protected.
 */
#include "gateway/keeper/keeper.h"

#include "base/mem.h"
#include "jobs/keys.h"

#define REPLY_MAX (SP_IPC_PAYLOAD_MAX - 4096)

struct finding {
    struct sp_arena *arena;
    int64_t now_ms;
    struct sp_jobs_key keys[SP_JOBS_KEYS_MAX];
    struct sp_jobs_key_refused refused[SP_JOBS_KEYS_MAX];
    struct sp_jobs_keys_reply reply;
};

static uint32_t abilities_of(const struct sp_keys_key *key)
{
    return (key->abilities & SP_KEYS_GCM ? SP_JOBS_KEYS_CAN_GCM : 0) |
           (key->abilities & SP_KEYS_OAEP ? SP_JOBS_KEYS_CAN_OAEP : 0) |
           (key->abilities & SP_KEYS_ECDH ? SP_JOBS_KEYS_CAN_ECDH : 0);
}

static void judge_one(void *ctx, const struct sp_keys_key *key)
{
    struct finding *f = ctx;
    struct sp_bytes id = sp_arena_copy(f->arena, sp_bytes_cstr(key->id));
    struct sp_err why = {0};

    if (sp_keys_judge(key, f->now_ms, &why) != SP_OK) {
        f->refused[f->reply.refused_count++] =
            (struct sp_jobs_key_refused){id, sp_arena_copy(f->arena, sp_bytes_cstr(why.text))};
        return;
    }
    f->keys[f->reply.key_count++] = (struct sp_jobs_key){
        .kind = key->kind == SP_KEYS_PGP ? SP_JOBS_KEY_PGP : SP_JOBS_KEY_SMIME,
        .abilities = abilities_of(key),
        .not_after_ms = key->not_after_ms,
        .id = id,
        .bytes = sp_arena_copy(f->arena, key->bytes),
    };
}

static enum sp_rc find(struct keeper *k, struct sp_bytes address, struct finding *f,
                       struct sp_err *err)
{
    char normal[SP_KEYS_ADDRESS_MAX];

    f->reply.keys = f->keys;
    f->reply.refused = f->refused;
    if (!sp_keys_address_normalise(address, normal))
        return SP_OK; /* an address of another kind: nobody has a key for it */
    return sp_keys_each(
        k->keys,
        &(struct sp_keys_query){.address = sp_bytes_cstr(normal), .limit = SP_JOBS_KEYS_MAX},
        judge_one, f, err);
}

void keeper_on_keys(void *arg, struct sp_jobs_job *job)
{
    struct keeper *k = arg;
    struct sp_jobs_keys_request request;
    struct sp_err err = {0};
    struct finding *f;
    struct sp_buf out;
    enum sp_rc rc = sp_jobs_keys_request_decode(sp_jobs_job_payload(job), &request);

    if (rc != SP_OK) {
        sp_jobs_job_reply(job, rc, SP_LIT(""), NULL, 0);
        return;
    }
    sp_buf_init(&out, REPLY_MAX);
    f = sp_calloc(1, sizeof(*f));
    f->arena = sp_arena_new(16384);
    f->now_ms = keeper_now_ms(k);
    rc = find(k, request.address, f, &err);
    if (rc != SP_OK)
        sp_log_error(sp_role_log(k->role), "keeper.store-failed", SP_RC("why", rc));
    else
        sp_jobs_keys_reply_encode(&out, &f->reply);
    if (rc == SP_OK)
        rc = sp_buf_rc(&out);
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_arena_free(f->arena);
    sp_free(f);
    sp_buf_clear(&out);
}
