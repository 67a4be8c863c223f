/* cambrian schema: the grammar of job files, for editors and for people. */
#include "proto/jobfile_schema.h"

#include "client/invocation.h"
#include "client/output.h"
#include "model/names.h"

enum cam_code command_schema(struct invocation *in, struct cam_err *err)
{
    struct cam_text text = {0};
    if (in->given[OPTION_MARKDOWN]) {
        jobfile_reference(&text);
    } else {
        struct schema_names names;
        model_names(&names);
        jobfile_schema(&names, &text);
    }
    return output_text(&text, err);
}
