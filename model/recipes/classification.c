/*
 * Recipe classification: the class of every image, by softmax cross-entropy over logits
 * (N,classes).
 *
 * `loss` is what is minimised (with label smoothing where the job asks for it), `val_loss` the
 * plain cross-entropy; both are means over samples, in nats.  `accuracy` is of the batch while it
 * is being learned from, dropout and batch statistics included.
 */
#include "model/recipes/supervised.h"

static const struct supervised_metric METRICS[] = {
    {"accuracy", "val_accuracy", supervised_accuracy},
};

enum cam_code classification_build(struct training_build *build)
{
    const struct data_shape *data = build->data;
    int64_t rows = build->training->rows;
    if (data->classes < 2) {
        return jobfile_fail(build->job, "data", build->err,
                            "recipe classification needs labels of at least 2 classes, the data "
                            "have %s",
                            data->classes == 0 ? "none (data.labels)" : "one");
    }
    struct supervised recipe = {
        .build = build,
        .input_name = "image",
        .input = {.rank = 4, .dim = {rows, data->height, data->width, data->channels}},
        .label = {.rank = 1, .dim = {rows}},
        .classes = data->classes,
        .hint = "flatten and dense: {units: CLASSES}",
        .metrics = METRICS,
        .metric_count = sizeof METRICS / sizeof METRICS[0],
    };
    return supervised_build(&recipe);
}
