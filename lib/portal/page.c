/*
 * Pages: one frame round every page, one small style sheet, one script that does nothing but move the token from the
 * URL's fragment, which no server sees, into the form. Everything works without the script: the code can be pasted.
 */
#include "portal/portal_priv.h"

#include "web/form.h"

const char sp_portal_headers[] = "Cache-Control: no-store\r\n"
                                 "Referrer-Policy: no-referrer\r\n"
                                 "X-Content-Type-Options: nosniff\r\n"
                                 "X-Robots-Tag: noindex, nofollow, noarchive\r\n"
                                 "Strict-Transport-Security: max-age=31536000\r\n"
                                 "Cross-Origin-Opener-Policy: same-origin\r\n"
                                 "Cross-Origin-Resource-Policy: same-origin\r\n"
                                 "Permissions-Policy: camera=(), microphone=(), geolocation=()\r\n";

const char sp_portal_style[] =
    ":root{color-scheme:light dark;--ink:#1c2530;--dim:#556270;--paper:#fff;--ground:#eef1f5;"
    "--line:#c6ced8;--act:#0b5cad;--on-act:#fff;--bad:#a3160f}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e8edf3;--dim:#a9b4c0;--paper:#1b222b;"
    "--ground:#11161c;--line:#3b4653;--act:#7db8f5;--on-act:#0b1520;--bad:#ff9a91}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--ground);color:var(--ink);"
    "font:1.0625rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\n"
    "main{max-width:46rem;margin:0 auto;padding:1.25rem;background:var(--paper);min-height:100vh}\n"
    "@media (min-width:48rem){main{margin:2rem auto;padding:2rem 2.5rem;min-height:0;"
    "border:1px solid var(--line);border-radius:.5rem}}\n"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.125rem;margin:1.75rem 0 .5rem}\n"
    "p{margin:.75rem 0}\n.dim{color:var(--dim)}\n.bad{color:var(--bad);font-weight:600}\n"
    "label{display:block;font-weight:600;margin:1rem 0 .25rem}\n"
    "input[type=text]{width:100%;font:inherit;padding:.625rem .75rem;color:inherit;"
    "background:var(--paper);border:1px solid var(--dim);border-radius:.375rem}\n"
    "input.code{max-width:14rem;font-size:1.375rem;letter-spacing:.125em}\n"
    "fieldset{border:1px solid var(--line);border-radius:.375rem;padding:.5rem 1rem}\n"
    "legend{font-weight:600;padding:0 .375rem}\n"
    ".choice label{display:inline;margin:0}\n.choice span{display:block;margin-left:1.75rem}\n"
    "button{font:inherit;font-weight:600;padding:.625rem 1.25rem;margin:1rem 0 0;border:0;"
    "border-radius:.375rem;background:var(--act);color:var(--on-act);cursor:pointer;"
    "min-height:2.75rem}\n"
    "button.quiet{background:transparent;color:var(--act);border:1px solid var(--act);margin:0}\n"
    ":focus-visible{outline:3px solid var(--act);outline-offset:2px}\n"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0 0 1rem}\n"
    "dt{color:var(--dim)}\ndd{margin:0;overflow-wrap:anywhere}\n"
    "pre.text{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:1rem 0;"
    "padding:1rem 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line)}\n"
    "iframe{width:100%;height:60vh;border:1px solid var(--line);border-radius:.375rem;"
    "background:#fff}\n"
    "summary{cursor:pointer;padding:.5rem 0;font-weight:600}\n"
    "ul.files{list-style:none;margin:0;padding:0}\n"
    "ul.files li{display:flex;gap:1rem;align-items:center;justify-content:space-between;"
    "padding:.625rem 0;border-bottom:1px solid var(--line);flex-wrap:wrap}\n"
    "ul.files span{overflow-wrap:anywhere}\n";

const char sp_portal_script[] = "'use strict';\n"
                                "(function () {\n"
                                "  var field = document.getElementById('token');\n"
                                "  var token = location.hash.slice(1);\n"
                                "  if (!field || !/^[A-Za-z0-9_-]{43}$/.test(token)) return;\n"
                                "  field.value = token;\n"
                                "  document.getElementById('paste').hidden = true;\n"
                                "  document.getElementById('known').hidden = false;\n"
                                "}());\n";

void sp_portal_page_begin(struct sp_buf *out, const char *title)
{
    sp_buf_put_cstr(out,
                    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<meta name=\"robots\" content=\"noindex, nofollow\">\n<title>");
    sp_web_html_escape(out, sp_bytes_cstr(title));
    sp_buf_put_cstr(out,
                    "</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n"
                    "<main>\n");
}

void sp_portal_page_end(struct sp_buf *out)
{
    sp_buf_put_cstr(out, "</main>\n</body>\n</html>\n");
}

void sp_portal_page_note(struct sp_buf *out, const char *title, const char *text)
{
    sp_portal_page_begin(out, title);
    sp_buf_put_cstr(out, "<h1>");
    sp_web_html_escape(out, sp_bytes_cstr(title));
    sp_buf_put_cstr(out, "</h1>\n<p>");
    sp_web_html_escape(out, sp_bytes_cstr(text));
    sp_buf_put_cstr(out, "</p>\n");
    sp_portal_page_end(out);
}

static const struct {
    int status;
    const char *title;
    const char *text;
} notes[] = {
    {403, "Not open here",
     "This page is open only to the reader who has just entered a code, in the same browser. "
     "Use the link in your notice again."},
    {404, "Nothing here", "There is no such page. Use the link in your notice."},
    {410, "This message has expired",
     "Its time has run out and it has been destroyed. Ask the sender to send it again."},
    {413, "Too much", "This is more than the page can take."},
    {429, "Too many tries", "Too much has been tried from your address. Wait an hour."},
    {500, "Something failed", "The message can't be shown just now. Please try again later."},
    {503, "Please try again", "The service is busy or restarting. Please try again in a minute."},
};

void sp_portal_page_error(void *arg, int status, struct sp_buf *out)
{
    (void)arg;
    for (size_t i = 0; i < SP_ARRAY_LEN(notes); i++) {
        if (notes[i].status == status) {
            sp_portal_page_note(out, notes[i].title, notes[i].text);
            return;
        }
    }
    sp_portal_page_note(out, "Not understood", "The request was not one that this page knows.");
}

void sp_portal_page_send(struct sp_web_request *req, int status, struct sp_buf *page)
{
    if (sp_buf_rc(page) == SP_OK)
        sp_web_reply(req, status, "text/html; charset=utf-8", sp_buf_bytes(page));
    else
        sp_web_reply_error(req, 500);
    sp_buf_wipe(page);
}
