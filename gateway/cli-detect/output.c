/* What `sallyport detect` prints: JSON, and text without what identifies a person. */
#include <stdio.h>

#include "base/text.h"
#include "gateway/cli-detect/cli.h"
#include "gateway/cli-detect/output.h"

#define LINE_MAX_LEN ((size_t)256 << 20)

const char *cli_detect_class(enum sp_detect_class class)
{
    static const char *const names[] = {
        [SP_DETECT_NONE] = "none",
        [SP_DETECT_IDENTIFIER] = "identifier",
        [SP_DETECT_PHI] = "phi",
        [SP_DETECT_SEVERE] = "severe",
    };

    return names[class];
}

void cli_detect_put_result(struct sp_jw *w, const struct sp_detect_result *r)
{
    sp_jw_bool(w, "phi", r->class >= SP_DETECT_PHI);
    sp_jw_int(w, "score", r->score);
    sp_jw_cstr(w, "class", cli_detect_class(r->class));
    sp_jw_array(w, "findings");
    for (size_t i = 0; i < r->finding_count; i++) {
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "type", sp_detect_type_name(r->findings[i].type));
        sp_jw_int(w, "start", r->findings[i].start);
        sp_jw_int(w, "end", r->findings[i].end);
        sp_jw_int(w, "score", r->findings[i].score);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

void cli_detect_print_json(const struct cli_detect *cli, const char *path)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, LINE_MAX_LEN);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "file", sp_bytes_cstr(path));
    cli_detect_put_result(&w, &cli->result);
    if (cli->result.gap_count > 0) { /* only when there is something to say */
        sp_jw_array(&w, "not_scanned");
        for (size_t i = 0; i < cli->result.gap_count; i++) {
            sp_jw_object(&w, NULL);
            sp_jw_int(&w, "part", cli->result.gaps[i].part);
            sp_jw_cstr(&w, "why", cli->result.gaps[i].why);
            sp_jw_end(&w);
        }
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_buf_put_u8(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
    sp_buf_clear(&out);
}

/* What says nothing of who it is may stay. */
static bool stays(enum sp_detect_type type)
{
    return type >= SP_DETECT_ICD10 && type <= SP_DETECT_LAB;
}

void cli_detect_print_redacted(const struct cli_detect *cli)
{
    const struct sp_detect_result *r = &cli->result;
    struct sp_bytes text = sp_buf_bytes(&cli->text);
    size_t next = 0, until = 0, place = 0, i = 0;

    while (i < text.len) {
        size_t from = i;

        while (next < r->finding_count &&
               (stays(r->findings[next].type) || r->findings[next].end <= place))
            next++;
        if (next < r->finding_count && r->findings[next].start <= place) {
            if (place >= until)
                printf("[%s]", sp_detect_type_name(r->findings[next].type));
            until = r->findings[next].end > until ? r->findings[next].end : until;
        }
        for (i++; i < text.len && (text.ptr[i] & 0xc0) == 0x80;)
            i++;
        if (place >= until)
            fwrite(text.ptr + from, 1, i - from, stdout);
        place++;
    }
}
