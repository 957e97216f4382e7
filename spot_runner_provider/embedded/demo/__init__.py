"""A deployment that shows, preset by preset, every case of reconciling.

===================== ============================================================== ===================
preset                what it shows                                                  outcome
===================== ============================================================== ===================
linux-x64             event lost; the newest of 60 images over several pages         corrected_ready
linux-arm64           newest is 1.0.1/1, though 1.0.0/37 has the higher number       corrected_ready
windows-2022          one image with AMIs for several regions and accounts           corrected_ready
linux-x64-large       the listing has neither state nor AMIs; only GetImage has      corrected_ready
linux-x64-edited      somebody changes ``timeout`` in the parameter meanwhile        corrected_ready
linux-x64-secure      a SecureString parameter with a key of its own                 corrected_ready
linux-x64-cuda        latest FAILED, with a reason, a failed step and a component    corrected_failed
windows-2019          latest CANCELLED                                               corrected_failed
linux-arm64-docker    latest still BUILDING                                          still_building
windows-2025          latest has been TESTING for eight hours                        stuck
linux-x64-contested   the event arrives late, with a newer AMI, just before us       superseded
linux-x64-resumed     an earlier run stopped between the record and the parameter    finished
linux-riscv64         no such pipeline                                               pipeline_not_found
linux-x64-preview     a pipeline that never built an image                           no_images
linux-x64-legacy      latest DEPRECATED                                              no_usable_ami
linux-x64-hardened    latest QUARANTINED, a state that AWS has not invented yet      no_usable_ami
linux-arm64-eu        latest AVAILABLE, but in another region only                   no_usable_ami
linux-x64-typo        the parameter is a bare AMI id, not JSON                       config_invalid
linux-x64-fresh       building for ten minutes: not stale                            (building)
linux-x64-docker      ready for a long time                                          (ready)
linux-arm64-gpu       failed a long time ago                                         (failed)
===================== ============================================================== ===================

There are also 200 runner jobs and three malformed records. ``AMI#nameless`` has no ``presetName``,
``AMI#linux-x64-odd`` has the status ``paused``, and ``AMI#linux-x64-undated`` has an ``updatedAt`` that is not a time.

All times are relative to the moment of seeding: twenty minutes later, ``linux-x64-fresh`` is stale, too.
"""
