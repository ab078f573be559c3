"""The command in tfseg/commands/profile_flops.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("profile_flops")
