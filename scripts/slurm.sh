#!/bin/bash
# Train on several nodes under SLURM, and go on where the time limit or a lost node ended it.
#
#   sbatch scripts/slurm.sh runs/large --config configs/transformer.yaml \
#       --config configs/strategy/ddp.yaml --data.path data --data.workers 4
#   sbatch --nodes=4 scripts/slurm.sh ...      # what is given to sbatch wins over what stands here
#
# The first argument is the run's folder, the rest goes to `protcontact fit`. Take
# configs/strategy/fsdp.yaml for a model that one GPU has no room for.
#
# Without SLURM, the same on two nodes of four GPUs: on each of them, FIRST being the first one,
#
#   torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint FIRST:29500 \
#       --rdzv-id large -m protcontact fit --config ... --trainer.num_nodes 2 --trainer.devices 4
#
# torchrun ends all processes when one has died; start it again with `--ckpt_path last`.
#
#SBATCH --job-name=protcontact
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4          # one process for each GPU, or Lightning refuses
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8            # the training process, --data.workers, and some air
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120          # two minutes before the end, to this script (B:) alone
#SBATCH --requeue                    # after the failure of a node, too
#SBATCH --open-mode=append           # one log over all starts
#SBATCH --output=%x-%j.log

set -euo pipefail

if (($# < 2)); then
    echo "usage: sbatch scripts/slurm.sh RUN_FOLDER --config CONFIG [options of protcontact fit]" >&2
    exit 2
fi
run=$1
shift

# A later start goes on from the newest last.ckpt, which is written every 200 steps (base.yaml) and
# after each validation. The batches and the learning rate go on with it, also within an epoch.
resume=()
if compgen -G "$run/version_*/checkpoints/last.ckpt" >/dev/null; then
    resume=(--ckpt_path last)
fi

# Some systems start processes with as many threads each as the node has cores.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # sbatch no longer hands this on to srun
export PYTHONFAULTHANDLER=1                         # a crash in native code leaves a traceback

# Put the job back into the queue; SLURM then ends what is running.
requeue() {
    echo "$(date -Is) the time is up: job $SLURM_JOB_ID is queued again"
    scontrol requeue "$SLURM_JOB_ID"
}
trap requeue USR1

# --kill-on-bad-exit: a process that has died ends the job, and none waits for it. In the
# background, because bash handles a signal only when it is not waiting for a command itself.
srun --kill-on-bad-exit=1 protcontact fit "$@" \
    --trainer.default_root_dir "$run" \
    --trainer.num_nodes "$SLURM_NNODES" \
    --trainer.devices "$SLURM_NTASKS_PER_NODE" \
    "${resume[@]}" &
job=$!

status=0
wait "$job" || status=$?
while kill -0 "$job" 2>/dev/null; do # the signal ended the waiting, not the job
    status=0
    wait "$job" || status=$?
done
exit "$status"
