/* JSON of one result, for whole files and for lines. */
#ifndef SP_GATEWAY_CLI_DETECT_OUTPUT_H
#define SP_GATEWAY_CLI_DETECT_OUTPUT_H

#include "base/text.h"
#include "detect/detect.h"

/* Writes phi, score, class and findings into the object that is open. */
void cli_detect_put_result(struct sp_jw *w, const struct sp_detect_result *r);

#endif
