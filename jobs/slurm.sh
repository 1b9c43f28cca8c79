#!/bin/sh
# Any of the job scripts as a batch job of Slurm. It needs no GPU: training and inference happen in the services.
#
#   sbatch jobs/slurm.sh pipeline gemma-2-2b --data questions.jsonl --profile cluster
#   sh jobs/slurm.sh pipeline --help
#
# A job that is preempted, times out or finds its run busy is queued again and resumes. LAWTAGS_PYTHON names the
# interpreter of the environment that lawtags is installed in.
#SBATCH --job-name=lawtags
#SBATCH --cpus-per-task=2
#SBATCH --mem=6G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
set -u
usage="usage: sbatch jobs/slurm.sh SCRIPT [ARGUMENT ...], with one of: curate customize deploy evaluate pipeline plan report tag upload"
case "${1:-}" in
    -h | --help) echo "$usage"; exit 0 ;;
    curate | customize | deploy | evaluate | pipeline | plan | report | tag | upload) script=$1; shift ;;
    *) echo "$usage" >&2; exit 2 ;;
esac
# Slurm runs a copy of this file; the scripts are below the folder that it was submitted from.
folder=${SLURM_SUBMIT_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
ended=
"${LAWTAGS_PYTHON:-python3}" "$folder/jobs/$script.py" "$@" &
child=$!
trap 'ended=yes; kill -TERM "$child" 2>/dev/null' TERM
wait "$child"
code=$?
# A signal ends the first wait, not the script that it was passed on to.
if [ -n "$ended" ]; then wait "$child"; code=$?; fi
# 75: another process uses this run. 143: the time is over, or the node is needed.
if [ -n "${SLURM_JOB_ID:-}" ] && { [ "$code" -eq 75 ] || [ "$code" -eq 143 ]; }; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
