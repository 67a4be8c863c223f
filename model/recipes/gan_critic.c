/* How often the discriminator is updated before each update of the generator. */
#include "model/recipes/gan.h"

enum { START_MAX = 1000000, CRITIC_MAX = 1000 };

enum cam_code gan_read_critic(const struct gan *gan)
{
    const struct job_file *job = gan->build->job;
    const struct doc_node *start = job->gan.critic_start;
    struct critic *critic = &gan->build->training->critic;
    struct cam_err *err = gan->build->err;
    *critic = (struct critic){.regular = job->gan.n_critic, .start = job->gan.n_critic};
    if (start == NULL) {
        return CAM_OK;
    }
    critic->start_steps = 25;
    critic->start = 100;
    critic->every = 500;
    enum cam_code rc = doc_read_int(start, "steps", 0, START_MAX, &critic->start_steps, err);
    rc = rc == CAM_OK ? doc_read_int(start, "n_critic", 1, CRITIC_MAX, &critic->start, err) : rc;
    return rc == CAM_OK ? doc_read_int(start, "every", 0, START_MAX, &critic->every, err) : rc;
}
