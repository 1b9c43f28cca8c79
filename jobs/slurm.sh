#!/bin/sh
# Any of the job scripts as a batch job of Slurm. It needs no GPU: training and inference happen in the services.
#
#   sbatch jobs/slurm.sh pipeline gemma-2-2b --data questions.jsonl --profile cluster
#   sh jobs/slurm.sh pipeline --help
#
# A job whose time is over, or whose run is busy, is queued again and resumes; Slurm itself queues one that it preempts.
# LAWTAGS_PYTHON names the interpreter of the environment that lawtags is installed in.
#SBATCH --job-name=lawtags
#SBATCH --cpus-per-task=2
#SBATCH --mem=6G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
set -u
usage="usage: sbatch jobs/slurm.sh SCRIPT [ARGUMENT ...], with one of: curate customize deploy evaluate pipeline plan report tag upload"
case "${1:-}" in
    -h | --help) echo "$usage"; exit 0 ;;
    curate | customize | deploy | evaluate | pipeline | plan | report | tag | upload) script=$1; shift ;;
    *) echo "$usage" >&2; exit 2 ;;
esac

# USR1: the time is nearly over. TERM: the job was cancelled or preempted; then it must not queue itself.
child='' ended='' late=''
stop() { ended=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }
trap 'late=yes; stop' USR1
trap stop TERM INT HUP

python=${LAWTAGS_PYTHON:-python3}
if ! "$python" -c 'import lawtags_client' 2>/dev/null; then
    echo "slurm.sh: $python does not have lawtags; set LAWTAGS_PYTHON to the python of its environment" >&2
    exit 2
fi
# Slurm runs a copy of this file from a folder of its own, and knows where the file was submitted from.
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ -f "$folder/$script.py" ] || folder=${SLURM_SUBMIT_DIR:-.}/jobs
if [ ! -f "$folder/$script.py" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    folder=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's|^ *Command=\(.*\)/slurm\.sh.*|\1|p')
fi
if [ ! -f "$folder/$script.py" ]; then
    echo "slurm.sh: jobs/$script.py was not found; submit from the folder that contains jobs/" >&2
    exit 2
fi
[ -z "$ended" ] || exit 143

"$python" "$folder/$script.py" "$@" &
child=$!
[ -z "$ended" ] || stop
while :; do
    wait "$child"
    code=$?
    # A signal ends the wait, not the script that it was passed on to.
    kill -0 "$child" 2>/dev/null || break
done
if [ -n "$ended" ]; then
    wait "$child" 2>/dev/null
    last=$?
    # 127: the shell has forgotten the script, because the wait above saw its end.
    [ "$last" -eq 127 ] || code=$last
fi
if [ -n "${SLURM_JOB_ID:-}" ] && { [ "$code" -eq 75 ] || { [ "$code" -eq 143 ] && [ -n "$late" ]; }; }; then
    scontrol requeue "$SLURM_JOB_ID" || echo "slurm.sh: submit the job again to resume" >&2
fi
exit "$code"
