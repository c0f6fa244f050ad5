"""What is wrong with a data set's folder, before a long run says it.

`examination` has the whole of it, `recognising` says which data set a folder is and whether it is a
level too high or too low, `splits` looks at lists and counts, `pictures` at the files themselves,
and `vigor_labels` tells the versions of VIGOR's labels apart.
"""

from cvgl_bench.data_doctor.examination import examine_data
from cvgl_bench.data_doctor.finding import Finding

__all__ = ["Finding", "examine_data"]
