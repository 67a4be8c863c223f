/* cambrian schema: the grammar of job files, for editors and for people. */
#include "proto/jobfile_schema.h"

#include "client/invocation.h"
#include "client/output.h"

enum cam_code command_schema(struct invocation *in, struct cam_err *err)
{
    struct cam_text text = {0};
    if (in->given[OPTION_MARKDOWN]) {
        jobfile_reference(&text);
    } else {
        jobfile_schema(&text);
    }
    return output_text(&text, err);
}
