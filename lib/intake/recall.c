/*
 * Taking a message back by answering. The word that a message is held (notify late) has an answering address of its own
 * here: recall+TOKEN@ our name, where the token is the message's id and a MAC of tenant, sender and id. Mail to it comes
 * in like any other, so whoever writes has proved to be the tenant; the MAC says that it is the sender of that message. It
 * must be the only recipient and no machine's reply. It is not queued: the ledger, which can reach every relay, has the
 * held recipients deleted, and the client is told by the reply whether that came in time.
 */
#include "base/text.h"
#include "intake/intake_priv.h"
#include "jobs/command.h"
#include "mail/kind.h"

#define PREFIX       "recall+"
#define MAC_DIGITS   24
#define RECALL_MS    15000
#define ACTOR_MAX    2048
#define QUESTION_MAX 4096

static void make_mac(const struct transaction *tx, const struct sp_id *id, char out[MAC_DIGITS + 1])
{
    struct sp_buf said, hex;
    uint8_t mac[SP_SHA256_LEN];

    sp_buf_init(&said, 2 * SP_HEADER_MAX);
    sp_buf_put_cstr(&said, "recall");
    sp_buf_put_var(&said, sp_bytes_cstr(tx->proof.who->tenant->name));
    for (size_t i = 0; i < tx->sender.len; i++)
        sp_buf_put_u8(&said, sp_ascii_lower(tx->sender.ptr[i]));
    sp_buf_put_u8(&said, 0);
    sp_buf_put(&said, sp_bytes(id->b, SP_ID_LEN));
    sp_crypt_hmac(sp_secret_bytes(&tx->in->parts.mark_key), sp_buf_bytes(&said), mac);
    sp_buf_init(&hex, MAC_DIGITS);
    sp_hex_encode(&hex, sp_bytes(mac, MAC_DIGITS / 2));
    memcpy(out, hex.ptr, MAC_DIGITS);
    out[MAC_DIGITS] = 0;
    sp_buf_clear(&hex);
    sp_buf_clear(&said);
}

struct sp_bytes sp_intake_recall_address(struct transaction *tx)
{
    char id[SP_ID_TEXT_LEN + 1], mac[MAC_DIGITS + 1];
    struct sp_bytes out;
    struct sp_buf b;

    sp_id_format(&tx->id, id);
    make_mac(tx, &tx->id, mac);
    sp_buf_init(&b, 2 * SP_ADDRESS_MAX);
    sp_buf_printf(&b, PREFIX "%s%s@%s", id, mac, tx->gen->hostname);
    out = sp_arena_copy(tx->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return out;
}

/* returns: whether the address is one of ours for taking back, whatever stands in it */
static bool is_ours(const struct transaction *tx, const struct sp_address *to)
{
    return sp_bytes_eq_nocase(to->domain, sp_bytes_cstr(tx->gen->hostname)) &&
           sp_bytes_starts_nocase(to->local, SP_LIT(PREFIX));
}

enum sp_rc sp_intake_recall_rcpt(struct transaction *tx, const struct sp_address *to, bool *taken)
{
    struct sp_bytes token;

    *taken = is_ours(tx, to);
    if (!*taken)
        return tx->recall_mac[0] == 0 ? SP_OK : SP_E_DENIED; /* it comes alone */
    token = sp_bytes_slice(to->local, sizeof(PREFIX) - 1, SIZE_MAX);
    if (tx->recipient_count > 0 || tx->recall_mac[0] != 0 ||
        token.len != SP_ID_TEXT_LEN + MAC_DIGITS ||
        !sp_id_parse(sp_bytes_slice(token, 0, SP_ID_TEXT_LEN), &tx->recall))
        return SP_E_DENIED;
    for (size_t i = 0; i < MAC_DIGITS; i++)
        tx->recall_mac[i] = (char)sp_ascii_lower(token.ptr[SP_ID_TEXT_LEN + i]);
    return SP_OK;
}

static void end(struct transaction *tx, enum sp_rc rc, struct sp_bytes text)
{
    struct sp_intake *in = tx->in;

    tx->in_flight = false;
    in->transactions--;
    sp_intake_tx_done(tx, rc, text);
    sp_intake_check_drained(in);
    sp_intake_unref(in);
}

static void on_answer(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct transaction *tx = arg;

    (void)reply;
    if (rc == SP_OK)
        end(tx, SP_OK, SP_LIT("the message is taken back"));
    else if (rc == SP_E_NOT_FOUND)
        end(tx, SP_E_INTAKE_POLICY,
            SP_LIT("too late: nothing of that message waits here any more"));
    else
        end(tx, SP_E_ROLE_GONE, SP_LIT(""));
}

static void put_question(const struct transaction *tx, struct sp_buf *question,
                         struct sp_buf *actor)
{
    struct sp_jw w;

    sp_jw_init(&w, question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "message.recall");
    sp_jw_id(&w, "message", tx->recall.b);
    sp_jw_cstr(&w, "reason", "taken back by its sender");
    sp_jw_end(&w);
    sp_jw_init(&w, actor);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "type", "sender");
    sp_jw_text(&w, "id", tx->sender);
    sp_jw_cstr(&w, "auth", tx->proof.auth);
    sp_jw_end(&w);
}

static void ask(struct transaction *tx)
{
    struct sp_jobs_command_request request;
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_COMMAND,
                                   .timeout_ms = RECALL_MS,
                                   .wait_for_peer = true};
    struct sp_buf question, actor, payload;

    sp_buf_init(&question, QUESTION_MAX);
    sp_buf_init(&actor, ACTOR_MAX);
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    put_question(tx, &question, &actor);
    request = (struct sp_jobs_command_request){.json = sp_buf_bytes(&question),
                                               .actor = sp_buf_bytes(&actor)};
    sp_jobs_command_request_encode(&payload, &request);
    call.payload = sp_buf_bytes(&payload);
    tx->in_flight = true;
    tx->in->transactions++;
    sp_intake_ref(tx->in);
    (void)sp_jobs_call(tx->in->parts.jobs, &call, on_answer, tx);
    sp_buf_clear(&question);
    sp_buf_clear(&actor);
    sp_buf_clear(&payload);
}

bool sp_intake_recall(struct transaction *tx)
{
    char mac[MAC_DIGITS + 1];

    if (tx->recall_mac[0] == 0)
        return false;
    make_mac(tx, &tx->recall, mac);
    if (!sp_crypt_equal(sp_bytes_cstr(mac), sp_bytes_cstr(tx->recall_mac)) ||
        sp_mail_kind(&tx->header) != SP_KIND_MAIL) {
        sp_intake_refused(tx->session, tx, "message.refused", SP_E_DENIED, sp_bytes(NULL, 0));
        sp_intake_tx_done(tx, SP_E_DENIED, sp_bytes(NULL, 0));
        return true;
    }
    ask(tx);
    return true;
}
