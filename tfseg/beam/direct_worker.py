"""A worker process of DirectRunner that ends with the process which started it, even if that is killed.

python -m tfseg.beam.direct_worker PARENT. Beam passes on the rest in environment variables.
"""

import sys

from apache_beam.runners.worker import sdk_worker_main

from tfseg.system import child_process

if __name__ == "__main__":
    child_process.end_with(int(sys.argv[1]))
    sdk_worker_main.main(sys.argv[:1])
