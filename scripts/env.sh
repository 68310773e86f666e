# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts, and by scripts/activate in zsh too: exports the environment that scripts/setup made
# (sourcing colcon's own set-up files takes longer than starting Python). Needs $root; SEG_NODE_DISTRO selects jazzy
# (default) or kilted.
distro=${SEG_NODE_DISTRO:-jazzy}
env=$root/.env/$distro
venv=$env/venv
site=$(echo "$venv"/lib/python3.*) # the environment's Python version
site=$env/install/lib/${site##*/}/site-packages

# One ROS 2 at a time: drop the paths of another one that is sourced.
[[ :${AMENT_PREFIX_PATH:-$venv}: == *:$venv:* ]] || unset LD_LIBRARY_PATH PYTHONPATH
unset COLCON_PREFIX_PATH AMENT_CURRENT_PREFIX

export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
export AMENT_PREFIX_PATH=$env/install:$venv CMAKE_PREFIX_PATH=$env/install:$venv
export LD_LIBRARY_PATH=$env/install/lib:$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# The sources come first, so that edits and new files take effect at once; seg_node.msg is in the install folder.
export PYTHONPATH=$root:$site${PYTHONPATH:+:$PYTHONPATH}
export ROS_DISTRO=$distro ROS_VERSION=2 ROS_PYTHON_VERSION=3
export RMW_IMPLEMENTATION=${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 # LD_LIBRARY_PATH is set: Python need not restart itself
# Some libraries in the wheels use libpython without linking it; C++ programs do not need them, so leave them out.
export LDFLAGS="-Wl,--as-needed"

# Whole images in shared memory, unless the user selects transports. Fast DDS 2 knows only the first name, and Fast
# DDS 3 warns when it is set.
case $distro in jazzy) profiles=FASTRTPS_DEFAULT_PROFILES_FILE ;; *) profiles=FASTDDS_DEFAULT_PROFILES_FILE ;; esac
[ -n "${FASTDDS_BUILTIN_TRANSPORTS:-}" ] || eval "export $profiles=\${$profiles:-\$root/config/fastdds_images.xml}"
# glibc would return each image's buffer to the kernel and fault it in again (seg_node/ros/common/memory.py).
export MALLOC_MMAP_THRESHOLD_=67108864 MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_TOP_PAD_=67108864
# OpenMP threads that spin make torch ten times slower on cores that others use too (docs/troubleshooting.md).
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
