module bench;
  logic        clk = 0;
  logic        rst, access, write, fill, flush, hit, victim_dirty;
  logic [15:0] address, victim_address;

  cache_tags dut (
    .clk(clk), .rst(rst), .access(access), .write(write), .fill(fill), .flush(flush), .address(address), .hit(hit),
    .victim_dirty(victim_dirty), .victim_address(victim_address)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  // the memory block (address / 16) that each line holds, -1 if it is invalid
  int   block[0:7];
  logic modified[0:7];
  int   wanted, line;
  logic found, victim;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    wanted = int'(address) / 16;
    line = wanted % 8;
    found = block[line] == wanted;
    victim = block[line] >= 0 && !found && modified[line];
    check("hit", hit, found);
    check("victim_dirty", victim_dirty, victim);
    check("victim_address", victim_address, victim ? block[line] * 16 : 0);
  endtask

  // controls: rst, fill, access, write, flush
  task automatic cycle(input logic [4:0] controls, input logic [15:0] where);
    {rst, fill, access, write, flush} = controls;
    address = where;
    #1 outputs();
    if (rst) begin
      for (int i = 0; i < 8; i++) begin
        block[i] = -1;
        modified[i] = 0;
      end
    end else if (fill) begin
      block[line] = wanted;
      modified[line] = write;
    end else if (access && write && found) modified[line] = 1;
    else if (flush && found) begin
      block[line] = -1;
      modified[line] = 0;
    end
    @(negedge clk);
    outputs();
    address = where ^ 16'h0080;
    #1 outputs();
  endtask

  initial begin
    for (int i = 0; i < 8; i++) begin
      block[i] = -1;
      modified[i] = 0;
    end
    {access, write, fill, flush, address} = '0;
    rst = 1;
    @(negedge clk);
    @(negedge clk);
    cycle(5'b11010, 16'h1230);
    cycle(5'b00100, 16'h1230);
    cycle(5'b00110, 16'h1230);  // a write that misses
    cycle(5'b01000, 16'h123f);
    cycle(5'b00110, 16'h92b5);  // misses in the same line
    cycle(5'b00100, 16'h1235);
    cycle(5'b00110, 16'h1235);
    cycle(5'b00001, 16'h9235);  // another tag
    cycle(5'b01010, 16'h9235);
    cycle(5'b01000, 16'h1235);
    cycle(5'b00111, 16'h1235);  // the write wins
    cycle(5'b00001, 16'h1235);
    cycle(5'b00000, 16'h9235);
    for (int i = 0; i < 8; i++) cycle(5'b01010, 16'(i * 16 + 16'h0800));
    for (int i = 0; i < 8; i++) cycle(5'b00000, 16'(i * 16 + 16'hf800));
    repeat (5000) begin
      cycle({random() % 256 == 0, random() % 8 == 0, 3'(random())}, 16'((random() % 3) * 128 + (random() % 128)));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
