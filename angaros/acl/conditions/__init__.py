"""One file a family of conditions or modifiers; `acl.table` names the function of each."""
