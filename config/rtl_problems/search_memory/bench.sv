module bench;
  logic        clk = 0;
  logic        rst, write, write_valid, hit, multiple;
  logic [2:0]  write_index, hit_index;
  logic [15:0] write_key, write_care, search_key;

  search_memory dut (
    .clk(clk), .rst(rst), .write(write), .write_index(write_index), .write_valid(write_valid), .write_key(write_key),
    .write_care(write_care), .search_key(search_key), .hit(hit), .multiple(multiple), .hit_index(hit_index)
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
  logic        valid[0:7];
  logic [15:0] key[0:7], care[0:7];
  int          count, first;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic search(input logic [15:0] wanted);
    search_key = wanted;
    count = 0;
    first = 0;
    for (int i = 7; i >= 0; i--) begin
      if (valid[i] && (wanted & care[i]) == (key[i] & care[i])) begin
        count++;
        first = i;
      end
    end
    #1;
    check("hit", hit, count > 0);
    check("multiple", multiple, count > 1);
    check("hit_index", hit_index, first);
  endtask

  task automatic put(
    input int index, input logic is_valid, input logic [15:0] k, input logic [15:0] mask, input logic reset
  );
    @(negedge clk);  // searches take time
    write = 1;
    rst = reset;
    write_index = 3'(index);
    write_valid = is_valid;
    write_key = k;
    write_care = mask;
    search(k);  // not visible before the edge
    @(negedge clk);
    if (rst) for (int i = 0; i < 8; i++) valid[i] = 0;
    else begin
      valid[index] = is_valid;
      key[index] = k;
      care[index] = mask;
    end
    rst = 0;
    write = 0;
    write_valid = !is_valid;
    search(k);
    @(negedge clk);
    search(k);
  endtask

  initial begin
    for (int i = 0; i < 8; i++) valid[i] = 0;
    {write, write_index, write_valid, write_key, write_care, search_key} = '0;
    rst = 1;
    @(negedge clk);
    put(3, 1, 16'h1111, 16'hffff, 1);
    search(16'h0000);
    for (int i = 0; i < 8; i++) put(i, 1, 16'(16'h1000 + i), 16'hffff, 0);
    for (int i = 0; i < 8; i++) search(16'(16'h1000 + i));
    for (int b = 0; b < 16; b++) search(16'h1005 ^ (16'd1 << b));
    put(6, 1, 16'h1002, 16'hfff0, 0);
    search(16'h1009);
    put(7, 1, 16'habcd, 16'h0000, 0);
    search(16'hffff);
    put(7, 0, 16'habcd, 16'h0000, 0);
    search(16'hffff);
    put(2, 0, 16'h1002, 16'hffff, 0);
    repeat (1500) begin
      put(int'(random() % 8), random() % 4 != 0, 16'(random() % 4), random() % 2 == 0 ? 16'hffff : 16'(random() % 4),
          random() % 128 == 0);
      repeat (3) search(16'(random() % 4));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
