import os
# What modules want done after a fork is for threads that a zygote has not got, or is done by `child` anyway; done again in
# each child, it costs as much as everything else before a program's first line.
register_at_fork=os.register_at_fork
os.register_at_fork=lambda **_:None
import fcntl,json,socket,sys,types
control=socket.socket(fileno=fcntl.fcntl(0,fcntl.F_DUPFD_CLOEXEC,64))
null=os.open(os.devnull,os.O_RDONLY)
os.dup2(null,0)
os.close(null)
_,files,_,_=socket.recv_fds(control,64,2)
boot=json.loads(open(files[0],"rb").read())
boot["library"]=files[1]
package=types.ModuleType("meterbox_zygote")
package.__path__=[]
package.register_at_fork=register_at_fork
sys.modules["meterbox_zygote"]=package
for name,source in boot["modules"]:
    module=types.ModuleType(f"meterbox_zygote.{name}")
    sys.modules[module.__name__]=module
    setattr(package,name,module)
    exec(compile(source,f"<meterbox_zygote.{name}>","exec"),module.__dict__)
sys.exit(package.main.main(control,boot))
